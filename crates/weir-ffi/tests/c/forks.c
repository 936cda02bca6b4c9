/* A parent and four children, whose threads drew before the fork and draw after it: no draw comes twice. */
#include "weir.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static int compare_draws(const void *a, const void *b) {
    return memcmp(a, b, 16);
}

/* Whether `count` draws of 16 bytes each are different, all of them. Sorts them. */
static int all_different(unsigned char (*draws)[16], size_t count) {
    size_t at;
    qsort(draws, count, sizeof *draws, compare_draws);
    for (at = 1; at < count; at++) {
        if (memcmp(draws[at - 1], draws[at], sizeof *draws) == 0) {
            return 0;
        }
    }
    return 1;
}

#define CHILDREN 4
#define THREADS 2
#define DRAWS 2000

/* Draws of one process: those of its main thread, then those of its other threads. */
typedef unsigned char process_draws[(THREADS + 1) * DRAWS][16];

static void draw(unsigned char (*draws)[16]) {
    size_t at;
    for (at = 0; at < DRAWS; at++) {
        CHECK(weir_uuid_v4_bytes(draws[at]) == 0);
    }
}

static void *thread(void *draws) {
    draw((unsigned char (*)[16])draws);
    return NULL;
}

static void draw_everywhere(process_draws *draws) {
    pthread_t threads[THREADS];
    size_t at;
    for (at = 0; at < THREADS; at++) {
        CHECK(pthread_create(&threads[at], NULL, thread, (*draws)[(at + 1) * DRAWS]) == 0);
    }
    draw(*draws);
    for (at = 0; at < THREADS; at++) {
        CHECK(pthread_join(threads[at], NULL) == 0);
    }
}

int main(void) {
    /* Before the fork, the parent, then each child. */
    size_t at, size = (CHILDREN + 2) * sizeof(process_draws);
    process_draws *all =
        (process_draws *)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);
    draw_everywhere(&all[0]);
    for (at = 0; at < CHILDREN; at++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            draw_everywhere(&all[at + 2]);
            _exit(0);
        }
    }
    draw_everywhere(&all[1]);
    for (at = 0; at < CHILDREN; at++) {
        int status;
        CHECK(wait(&status) > 0 && status == 0);
    }
    /* 122 random bits each: two of 36,000 are alike by chance with odds below 2^-92. */
    CHECK(all_different((unsigned char (*)[16])all, size / 16));
    puts("done");
    return 0;
}

/* The library by dlopen, whose name is the argument: it is closed while a thread that drew still runs, and that thread
 * ends all the same. The loader gives a thread memory for the library's variables at its first call; later calls allocate
 * nothing. */
#include <dlfcn.h>
#include <pthread.h>

#include "check.h"
#include "counted.h"

static int (*key)(char *, size_t);
static pthread_barrier_t drawn, closed;

static void *thread(void *unused) {
    char text[33];
    int round;
    calls = 0;
    CHECK(key(text, sizeof text) == 0 && strlen(text) == 32);
    CHECK(calls <= 1);
    calls = 0;
    for (round = 0; round < 100; round++) {
        CHECK(key(text, sizeof text) == 0);
    }
    CHECK(calls == 0);
    pthread_barrier_wait(&drawn);
    pthread_barrier_wait(&closed);
    return unused;
}

int main(int count, char **arguments) {
    pthread_t other;
    void *library, *symbol;
    CHECK(count == 2);
    library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    symbol = dlsym(library, "weir_key");
    CHECK(symbol != NULL);
    memcpy(&key, &symbol, sizeof key);
    CHECK(pthread_barrier_init(&drawn, NULL, 2) == 0 && pthread_barrier_init(&closed, NULL, 2) == 0);
    CHECK(pthread_create(&other, NULL, thread, NULL) == 0);
    pthread_barrier_wait(&drawn);
    CHECK(dlclose(library) == 0);
    pthread_barrier_wait(&closed);
    CHECK(pthread_join(other, NULL) == 0);
    puts("done");
    return 0;
}

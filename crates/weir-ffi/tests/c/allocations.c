/* Counts what the allocator is asked for while each function runs, in the first thread and in another. */
#include "weir.h"

#include <pthread.h>

#include "check.h"
#include "counted.h"

static unsigned char large[3 << 20];

static void *everything(void *unused) {
    char text[256];
    uint8_t raw[WEIR_UUID_BYTES];
    uint64_t number;
    double unit;
    int round;
    calls = 0;
    for (round = 0; round < 100; round++) {
        CHECK(weir_ready() == 0 && weir_wait_ready(1000) == 0);
        CHECK(weir_fill(text, sizeof text) == 0 && weir_try_fill(text, sizeof text) == 0);
        CHECK(weir_token(text, sizeof text, 200, NULL) == 0);
        CHECK(weir_token(text, sizeof text, 200, "abc") == 0);
        CHECK(weir_token(text, sizeof text, 200, "aa") < 0);
        CHECK(weir_key(text, sizeof text) == 0 && weir_scannable(text, sizeof text, "key") == 0);
        CHECK(weir_uuid_v4(text, sizeof text) == 0 && weir_uuid_v7(text, sizeof text) == 0);
        CHECK(weir_uuid_v4_bytes(raw) == 0 && weir_uuid_v7_bytes(raw) == 0);
        CHECK(weir_uniform_u64(1, 6, &number) == 0 && weir_double(&unit) == 0 && weir_seed(&number) == 0);
        CHECK(weir_erase(text, sizeof text) == 0);
        CHECK(weir_strerror(-1) != NULL && weir_version() != NULL);
    }
    CHECK(weir_fill(large, sizeof large) == 0);
    CHECK(calls == 0);
    return unused;
}

int main(void) {
    pthread_t other;
    void *kept = malloc(1);
    CHECK(calls > 0 && kept != NULL);
    free(kept);
    everything(NULL);
    CHECK(pthread_create(&other, NULL, everything, NULL) == 0 && pthread_join(other, NULL) == 0);
    puts("done");
    return 0;
}

/* A policy answers getrandom(2) with the error number that is the argument: each function says so, and leaves zeros.
 * With more arguments, they are a command that is run under that policy instead. */
#define _GNU_SOURCE
#include "weir.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static void refuse(int number) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program;
    program.len = sizeof steps / sizeof *steps;
    program.filter = steps;
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* Text that is in a buffer before a call, so that what is left of it shows. */
static char *used(char *text) {
    memset(text, '?', 64);
    return text;
}

int main(int count, char **arguments) {
    static const char zeros[64];
    char text[64], bytes[64];
    uint64_t number = 1;
    double unit = 1;
    int refusal;
    CHECK(count >= 2);
    refusal = atoi(arguments[1]);
    refuse(refusal);
    if (count > 2) {
        execvp(arguments[2], arguments + 2);
        return 1;
    }
    CHECK(weir_ready() == -refusal);
    CHECK(weir_wait_ready(0) == -refusal && weir_wait_ready(20) == -refusal);
    CHECK(weir_try_fill(used(bytes), 64) == -refusal && memcmp(bytes, zeros, 64) == 0);
    CHECK(weir_key(used(text), 64) == -refusal && memcmp(text, zeros, 33) == 0);
    CHECK(weir_token(used(text), 64, 60, WEIR_HEX) == -refusal && memcmp(text, zeros, 61) == 0);
    CHECK(weir_scannable(used(text), 64, "key") == -refusal && memcmp(text, zeros, 48) == 0);
    CHECK(weir_uuid_v4(used(text), 64) == -refusal && memcmp(text, zeros, 37) == 0);
    CHECK(weir_uuid_v7(used(text), 64) == -refusal && memcmp(text, zeros, 37) == 0);
    CHECK(weir_uuid_v4_bytes((uint8_t *)used(text)) == -refusal && memcmp(text, zeros, 16) == 0);
    CHECK(weir_uuid_v7_bytes((uint8_t *)used(text)) == -refusal && memcmp(text, zeros, 16) == 0);
    CHECK(weir_uniform_u64(1, 6, &number) == -refusal && number == 0);
    CHECK(weir_double(&unit) == -refusal && unit == 0);
    CHECK(weir_seed((number = 1, &number)) == -refusal && number == 0);
    if (refusal != EAGAIN) {
        CHECK(weir_fill(used(bytes), 64) == -refusal && memcmp(bytes, zeros, 64) == 0);
    }
    puts("done");
    return 0;
}

/* Each function, with what it promises and with arguments that it refuses. Also built as C++. */
#include "weir.h"

#include <errno.h>

#include "check.h"

static int is_zeros(const void *bytes, size_t size) {
    const unsigned char *at = (const unsigned char *)bytes;
    while (size > 0 && *at == 0) {
        at++;
        size--;
    }
    return size == 0;
}

static void bytes(void) {
    static unsigned char large[100000];
    unsigned char first[32], second[32];
    CHECK(weir_ready() == 0);
    CHECK(weir_wait_ready(-1) == 0 && weir_wait_ready(0) == 0 && weir_wait_ready(1000) == 0);
    memset(first, 0, sizeof first);
    memset(second, 0, sizeof second);
    CHECK(weir_fill(first, sizeof first) == 0 && weir_try_fill(second, sizeof second) == 0);
    CHECK(memcmp(first, second, sizeof first) != 0);
    CHECK(!is_zeros(first, sizeof first) && !is_zeros(second, sizeof second));
    CHECK(weir_fill(large, sizeof large) == 0 && !is_zeros(large + sizeof large - 32, 32));
    CHECK(weir_erase(first, sizeof first) == 0 && is_zeros(first, sizeof first));
    CHECK(weir_erase(second, 16) == 0 && is_zeros(second, 16) && !is_zeros(second + 16, 16));
    CHECK(weir_erase(NULL, 0) == 0 && weir_erase(NULL, 1) == -EFAULT && weir_erase(first, SIZE_MAX) == -EINVAL);
    CHECK(weir_fill(NULL, 0) == 0 && weir_try_fill(NULL, 0) == 0 && weir_fill(first, 0) == 0);
    CHECK(weir_fill(NULL, 1) == -EFAULT && weir_try_fill(NULL, 1) == -EFAULT);
    CHECK(weir_fill(first, (size_t)-1) == -EINVAL && weir_try_fill(first, SIZE_MAX / 2 + 1) == -EINVAL);
}

static void tokens(void) {
    static char large[WEIR_TOKEN_SIZE(WEIR_TOKEN_MAX)];
    char text[128], key[WEIR_KEY_SIZE];
    const char *alphabets[] = {NULL, WEIR_BASE62, WEIR_BASE64URL, WEIR_HEX, WEIR_BASE32, "01", "!#%&"};
    const char *refused[] = {"", "a", "aa", "a b", "ab\n", "a\xc3\xbc", WEIR_BASE64URL WEIR_BASE62};
    size_t at, length;
    for (at = 0; at < sizeof alphabets / sizeof *alphabets; at++) {
        const char *characters = alphabets[at] == NULL ? WEIR_BASE62 : alphabets[at];
        for (length = 1; length <= 100; length++) {
            memset(text, '?', sizeof text);
            CHECK(weir_token(text, WEIR_TOKEN_SIZE(length), length, alphabets[at]) == 0);
            CHECK(strlen(text) == length && strspn(text, characters) == length);
            CHECK(text[length + 1] == '?');
        }
    }
    for (at = 0; at < sizeof refused / sizeof *refused; at++) {
        memset(text, '?', sizeof text);
        CHECK(weir_token(text, sizeof text, 20, refused[at]) == -EINVAL);
        CHECK(text[0] == '\0');
    }
    CHECK(weir_token(large, sizeof large, WEIR_TOKEN_MAX, NULL) == 0 && strlen(large) == WEIR_TOKEN_MAX);
    CHECK(weir_token(large, sizeof large, WEIR_TOKEN_MAX + 1, NULL) == -EINVAL && large[0] == '\0');
    CHECK(weir_token(text, sizeof text, 0, NULL) == -EINVAL);
    CHECK(weir_token(text, sizeof text, (size_t)-1, NULL) == -EINVAL && text[0] == '\0');
    memset(text, '?', sizeof text);
    CHECK(weir_token(text, 20, 20, NULL) == -ERANGE && is_zeros(text, 20) && text[20] == '?');
    CHECK(weir_token(text, 0, 20, NULL) == -ERANGE && weir_token(NULL, 21, 20, NULL) == -EFAULT);
    CHECK(weir_key(key, sizeof key) == 0 && strlen(key) == 32 && strspn(key, WEIR_BASE62) == 32);
    CHECK(weir_key(text, sizeof text) == 0 && strcmp(key, text) != 0);
    CHECK(weir_key(key, sizeof key - 1) == -ERANGE && key[0] == '\0' && weir_key(NULL, 33) == -EFAULT);
}

static void scannable(void) {
    char key[WEIR_SCANNABLE_SIZE];
    const char *refused[] = {"", "k", "Key", "2key", "a_b", "a1234567890123456", "k\xc3\xa9"};
    size_t at;
    CHECK(weir_scannable(key, sizeof key, "key") == 0);
    CHECK(strlen(key) == 47 && strncmp(key, "weir_key_", 9) == 0 && strspn(key + 9, WEIR_BASE62) == 38);
    CHECK(weir_scannable(key, sizeof key, "a123456789012345") == 0 && strlen(key) == WEIR_SCANNABLE_SIZE - 1);
    for (at = 0; at < sizeof refused / sizeof *refused; at++) {
        CHECK(weir_scannable(key, sizeof key, refused[at]) == -EINVAL && key[0] == '\0');
    }
    CHECK(weir_scannable(key, 47, "key") == -ERANGE && key[0] == '\0' && weir_scannable(key, 48, "key") == 0);
    CHECK(weir_scannable(key, sizeof key, NULL) == -EFAULT && key[0] == '\0');
    CHECK(weir_scannable(NULL, sizeof key, "key") == -EFAULT);
}

static int is_uuid(const char *text, char version) {
    return strlen(text) == 36 && strspn(text, WEIR_HEX "-") == 36 && text[8] == '-' && text[13] == '-' &&
           text[14] == version && text[18] == '-' && strchr("89ab", text[19]) != NULL && text[23] == '-';
}

static void uuids(void) {
    char four[WEIR_UUID_SIZE], seven[WEIR_UUID_SIZE], other[WEIR_UUID_SIZE];
    uint8_t raw[WEIR_UUID_BYTES];
    CHECK(weir_uuid_v4(four, sizeof four) == 0 && is_uuid(four, '4'));
    CHECK(weir_uuid_v4(other, sizeof other) == 0 && strcmp(four, other) != 0);
    CHECK(weir_uuid_v7(seven, sizeof seven) == 0 && is_uuid(seven, '7'));
    CHECK(weir_uuid_v7(other, sizeof other) == 0 && strcmp(seven, other) != 0);
    CHECK(weir_uuid_v4(four, 36) == -ERANGE && is_zeros(four, 36) && weir_uuid_v7(NULL, 37) == -EFAULT);
    CHECK(weir_uuid_v4_bytes(raw) == 0 && raw[6] >> 4 == 4 && raw[8] >> 6 == 2);
    CHECK(weir_uuid_v7_bytes(raw) == 0 && raw[6] >> 4 == 7 && raw[8] >> 6 == 2);
    CHECK(weir_uuid_v4_bytes(NULL) == -EFAULT && weir_uuid_v7_bytes(NULL) == -EFAULT);
}

static void numbers(void) {
    uint64_t number, other, seen = 0;
    double unit;
    int round;
    for (round = 0; round < 1000; round++) {
        CHECK(weir_uniform_u64(10, 13, &number) == 0 && number >= 10 && number <= 13);
        seen |= (uint64_t)1 << (number - 10);
        CHECK(weir_double(&unit) == 0 && unit >= 0 && unit < 1);
    }
    /* One of four numbers is missing after 1000 with odds of 4 * 0.75^1000, below 2^-400. */
    CHECK(seen == 15);
    CHECK(weir_uniform_u64(7, 7, &number) == 0 && number == 7);
    CHECK(weir_uniform_u64(0, UINT64_MAX, &number) == 0 && weir_uniform_u64(0, UINT64_MAX, &other) == 0);
    CHECK(number != other);
    CHECK(weir_uniform_u64(2, 1, &number) == -EINVAL && number == 0);
    CHECK(weir_uniform_u64(1, 2, NULL) == -EFAULT && weir_double(NULL) == -EFAULT);
    CHECK(weir_seed(&number) == 0 && weir_seed(&other) == 0 && number != other);
    CHECK(weir_seed(NULL) == -EFAULT);
}

static void texts(void) {
    char version[32];
    sprintf(version, "%d.%d.%d", WEIR_VERSION_MAJOR, WEIR_VERSION_MINOR, WEIR_VERSION_PATCH);
    CHECK(strcmp(weir_version(), version) == 0);
    CHECK(strcmp(weir_strerror(0), "success") == 0);
    CHECK(strstr(weir_strerror(-EAGAIN), "not ready") != NULL);
    CHECK(strcmp(weir_strerror(EAGAIN), weir_strerror(-EAGAIN)) == 0);
    CHECK(strlen(weir_strerror(-12345)) > 0 && strlen(weir_strerror(-2147483647 - 1)) > 0);
}

int main(void) {
    bytes();
    tokens();
    scannable();
    uuids();
    numbers();
    texts();
    puts("done");
    return 0;
}

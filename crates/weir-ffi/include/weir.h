/*
 * libweir: draws from the kernel's random number generator, and what is minted from them.
 *
 * Results. A function that returns int returns 0, or a negated error number of <errno.h>:
 *
 *   -EAGAIN   the kernel's generator has not been seeded since the boot; see weir_wait_ready
 *   -EFAULT   a pointer is null that may not be
 *   -EINVAL   an argument is out of range: a length, an alphabet, a kind, a range from high to low
 *   -ERANGE   the text does not fit into the buffer; nothing was drawn
 *   -EPERM    a policy of this process forbids getrandom(2), most often a container's seccomp profile
 *   -ENOSYS   this kernel has no getrandom(2), which came with Linux 3.17
 *   -EIO      getrandom(2) answered neither bytes nor an error
 *   others    as getrandom(2) gave them
 *
 * After an error, what the function was to write holds zeros (a text is empty), but for -EFAULT, and for -EINVAL because
 * of a size above half of the address space. There is never a weaker source instead. errno is not set.
 *
 * Waiting. weir_fill and weir_wait_ready wait while the kernel's generator is not ready. No other function ever waits. Once
 * it is ready, it stays so until the next boot.
 *
 * Threads, forks and signals. Every function may be called in any thread, in a forked child, and in a signal handler
 * (weir_wait_ready excepted). No function takes a lock. Nothing is kept from one draw to the next: parent and child never
 * draw the same bytes.
 *
 * Arguments. A pointer that is not null must be good for what it is given for, and memory to write must not overlap text to
 * read.
 *
 * Memory. No function calls malloc, but for weir_wait_ready where it really waits. docs/c-library.md says what memory there
 * is, and when the C library itself allocates for a thread at its first call: in a program that loads this library by
 * dlopen, or that has many thread-specific keys.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stddef.h>
#include <stdint.h>

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0

/* Sizes of buffers, with the zero at the end of the text. */
#define WEIR_KEY_SIZE 33
#define WEIR_UUID_SIZE 37
#define WEIR_SCANNABLE_SIZE 61
#define WEIR_TOKEN_SIZE(length) ((size_t)(length) + 1)

/* The longest token, in characters. */
#define WEIR_TOKEN_MAX 1048576

/* Bytes of a UUID in binary. */
#define WEIR_UUID_BYTES 16

/* Alphabets. Any other will do that is 2 to 94 characters of printable ASCII without space, each once. */
#define WEIR_BASE62 "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define WEIR_BASE64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#define WEIR_HEX "0123456789abcdef"
#define WEIR_BASE32 "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills `size` bytes at `out` from the kernel's generator. Waits for it to be ready. Null is good for no bytes. */
int weir_fill(void *out, size_t size);

/* As weir_fill, but never waits: -EAGAIN while the generator is not ready. */
int weir_try_fill(void *out, size_t size);

/* 0 if draws are answered at once, -EAGAIN if the generator is not ready, another error if draws fail altogether.
 * Draws nothing. */
int weir_ready(void);

/* Waits until weir_ready() is 0, at most `timeout_ms` milliseconds, without limit if that is negative. -EAGAIN if it was
 * not ready in time; an error that waiting does not mend is returned at once. While it waits, a thread of its own waits in
 * the kernel, which makes the kernel gather entropy; that thread may outlive the call. */
int weir_wait_ready(int timeout_ms);

/* Writes a token of `length` characters, each equally likely out of `alphabet`, and a zero. `cap` is the size of the
 * buffer, at least WEIR_TOKEN_SIZE(length). `length` is 1 to WEIR_TOKEN_MAX. A null alphabet is WEIR_BASE62. */
int weir_token(char *out, size_t cap, size_t length, const char *alphabet);

/* Writes the default credential: 32 characters of WEIR_BASE62, 190.5 bits, and a zero. */
int weir_key(char *out, size_t cap);

/* Writes a key that secret scanners recognise, and a zero:
 *
 *   weir_<kind>_<32 characters of base62><6 characters of checksum>
 *
 * The kind says what the key opens: a lower-case letter, then 1 to 15 lower-case letters or digits. WEIR_SCANNABLE_SIZE is
 * room enough for each kind. */
int weir_scannable(char *out, size_t cap, const char *kind);

/* Write a UUID (RFC 9562) in lower case, and a zero: WEIR_UUID_SIZE bytes. Version 4 is random; version 7 sorts by the time
 * it was made, and tells it. */
int weir_uuid_v4(char *out, size_t cap);
int weir_uuid_v7(char *out, size_t cap);

/* Write the 16 bytes of a UUID, in the order of its text. */
int weir_uuid_v4_bytes(uint8_t out[WEIR_UUID_BYTES]);
int weir_uuid_v7_bytes(uint8_t out[WEIR_UUID_BYTES]);

/* Writes a whole number from `low` to `high`, both included, each equally likely. */
int weir_uniform_u64(uint64_t low, uint64_t high, uint64_t *out);

/* Writes a number of [0, 1): a multiple of 2^-53, each equally likely. */
int weir_double(double *out);

/* Writes 64 bits for the seed of a generator whose output need not be secret. A generator with a larger state is seeded by
 * weir_try_fill. Seed again in a forked child. */
int weir_seed(uint64_t *out);

/* Overwrites memory that held a secret with zeros. The compiler may not leave the call out, as it may memset. Null is good
 * for no bytes. */
int weir_erase(void *memory, size_t size);

/* What a result means, in English: a text that is never freed. The sign does not matter. */
const char *weir_strerror(int result);

/* The version of the library that is loaded, as "0.1.0": a text that is never freed. */
const char *weir_version(void);

#ifdef __cplusplus
}
#endif

#endif

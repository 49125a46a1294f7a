/* A PKCS#11 module that hands every call on to another one, counts the calls, and
   fails, crashes, hangs or lies in those that it is told to. FAULTS_MODULE names the
   other module and FAULTS_STATE a file of 3 * 68 eight-byte numbers, shared with the
   test: for each function, in the order of CK_FUNCTION_LIST (PKCS #11 v2.40, 3.3),
   how often it was called, what it is to return, and how many more times. What it is
   to return is a CK_RV, or one of the deeds below. Only the functions below are
   watched. faults.go builds this file with cc. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef ulong (*function)(ulong, void *, void *, void *, void *, void *, void *, void *);

enum { FUNCTIONS = 68, OPEN_SESSION = 12, LOGIN = 18, FIND_INIT = 26, SIGN_INIT = 42, SIGN = 43 };
enum { INITIALIZE = 0, FINALIZE = 1, CLOSE_SESSION = 13, GENERAL_ERROR = 5 };

/* Deeds, which no CK_RV is: those have 32 bits. The lies are C_Sign's. */
enum deed { CRASH = 1, HANG, FLIP, OTHER, LONG };
#define DEED(value) ((value) >> 32)

struct list { unsigned char version[2]; function f[FUNCTIONS]; };
struct state { ulong calls[FUNCTIONS], fail[FUNCTIONS], times[FUNCTIONS]; };

static struct list real, ours;
static struct state *state;

/* take says what a call is to return, or 0: nothing special. */
static ulong take(int index) {
	ulong left = __atomic_load_n(&state->times[index], __ATOMIC_SEQ_CST);
	while (left > 0)
		if (__atomic_compare_exchange_n(&state->times[index], &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return __atomic_load_n(&state->fail[index], __ATOMIC_SEQ_CST);
	return 0;
}

/* begin counts a call and takes what it is to return, unless that is a lie. */
static ulong begin(int index) {
	__atomic_fetch_add(&state->calls[index], 1, __ATOMIC_SEQ_CST);
	if (DEED(__atomic_load_n(&state->fail[index], __ATOMIC_SEQ_CST)) >= FLIP)
		return 0;
	ulong value = take(index);
	if (DEED(value) == CRASH)
		*(volatile int *)8 = 0;
	while (DEED(value) == HANG)
		pause();
	return value;
}

/* Every function of PKCS #11 takes at most eight arguments of the size of a
   pointer, and passing more than a function looks at is harmless in the calling
   conventions of amd64 and arm64. */
#define WATCH(name, index) \
	static ulong name(ulong a, void *b, void *c, void *d, void *e, void *f, void *g, void *h) { \
		ulong value = begin(index); \
		return value ? value : real.f[index](a, b, c, d, e, f, g, h); \
	}

WATCH(initialize, INITIALIZE)
WATCH(finalize, FINALIZE)
WATCH(open_session, OPEN_SESSION)
WATCH(close_session, CLOSE_SESSION)
WATCH(login, LOGIN)
WATCH(find_init, FIND_INIT)
WATCH(sign_init, SIGN_INIT)

/* C_Sign(session, data, length, signature, &length). A call without a buffer asks for
   the length only, and hears the truth. */
static ulong sign(ulong session, void *data, void *len, void *sig, void *siglen, void *f, void *g, void *h) {
	unsigned char other[64 * 1024];
	ulong value = begin(SIGN);
	if (value)
		return value;
	ulong lie = sig != NULL && DEED(state->fail[SIGN]) >= FLIP ? DEED(take(SIGN)) : 0;
	if (lie == OTHER && (ulong)len > 0 && (ulong)len <= sizeof other) {
		memcpy(other, data, (ulong)len);
		other[0] ^= 1;
		data = other;
	}
	value = real.f[SIGN](session, data, len, sig, siglen, f, g, h);
	if (value == 0 && lie == FLIP)
		((unsigned char *)sig)[0] ^= 1;
	if (value == 0 && lie == LONG)
		*(ulong *)siglen += 16; /* more than there is room for */
	return value;
}

ulong C_GetFunctionList(struct list **out) {
	if (state == NULL) {
		const char *path = getenv("FAULTS_MODULE"), *file = getenv("FAULTS_STATE");
		void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
		ulong (*get)(struct list **) = module ? (ulong (*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
		int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
		struct list *l;
		if (get == NULL || fd < 0 || get(&l) != 0)
			return GENERAL_ERROR;
		void *m = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
		if (m == MAP_FAILED)
			return GENERAL_ERROR;
		real = ours = *l;
		ours.f[INITIALIZE] = initialize;
		ours.f[FINALIZE] = finalize;
		ours.f[OPEN_SESSION] = open_session;
		ours.f[CLOSE_SESSION] = close_session;
		ours.f[LOGIN] = login;
		ours.f[FIND_INIT] = find_init;
		ours.f[SIGN_INIT] = sign_init;
		ours.f[SIGN] = sign;
		state = m;
	}
	*out = &ours;
	return 0;
}

/* A PKCS#11 module that hands every call on to another one, counts the calls and
   fails or delays those that it is told to. FAULTS_MODULE names the other module
   and FAULTS_STATE a file of 3 * 68 eight-byte numbers, shared with the test: for
   each function, in the order of CK_FUNCTION_LIST (PKCS #11 v2.40, 3.3), how often
   it was called, what it is to return, and how many more times. Only the functions
   below are watched. faults.go builds this file with cc. */
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

struct list { unsigned char version[2]; function f[FUNCTIONS]; };
struct state { ulong calls[FUNCTIONS], fail[FUNCTIONS], times[FUNCTIONS]; };

static struct list real, ours;
static struct state *state;

/* Every function of PKCS #11 takes at most eight arguments of the size of a
   pointer, and passing more than a function looks at is harmless in the calling
   conventions of amd64 and arm64. */
#define WATCH(name, index) \
	static ulong name(ulong a, void *b, void *c, void *d, void *e, void *f, void *g, void *h) { \
		__atomic_fetch_add(&state->calls[index], 1, __ATOMIC_SEQ_CST); \
		ulong left = __atomic_load_n(&state->times[index], __ATOMIC_SEQ_CST); \
		while (left > 0) \
			if (__atomic_compare_exchange_n(&state->times[index], &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) \
				return __atomic_load_n(&state->fail[index], __ATOMIC_SEQ_CST); \
		return real.f[index](a, b, c, d, e, f, g, h); \
	}

WATCH(initialize, INITIALIZE)
WATCH(finalize, FINALIZE)
WATCH(open_session, OPEN_SESSION)
WATCH(close_session, CLOSE_SESSION)
WATCH(login, LOGIN)
WATCH(find_init, FIND_INIT)
WATCH(sign_init, SIGN_INIT)
WATCH(sign, SIGN)

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

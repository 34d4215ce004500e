/* Start, version, names of errors, and how a client looks functions up. */
#include "tests/vgpu/driver.h"

#include <string.h>
#include <unistd.h>

enum { DRIVER_VERSION = 13000 };

static CUresult initialise(Call *call, unsigned flags) {
    if (flags) return misuse(call, CUDA_ERROR_INVALID_VALUE, "flags must be 0");
    if (driver.ready) return CUDA_SUCCESS;
    const char *wrong = options_read(&driver.options);
    if (wrong) return misuse(call, CUDA_ERROR_INVALID_VALUE, "%s", wrong);
    if (!driver.options.devices) return CUDA_ERROR_NO_DEVICE;
    if (driver.options.trace && !(driver.trace = fopen(driver.options.trace, "w")))
        return misuse(call, CUDA_ERROR_INVALID_VALUE, "cannot write VGPU_TRACE=%s",
                      driver.options.trace);
    if (driver.trace) setvbuf(driver.trace, NULL, _IOLBF, 0);
    driver.profile = profile_of(driver.options.sm);
    driver.random = driver.options.seed;
    driver.uses.next = driver.uses.previous = &driver.uses;
    driver.devices = driver_zeroed(driver.options.devices, sizeof *driver.devices);
    for (uint32_t at = 0; at < driver.options.devices; at++) driver.devices[at].ordinal = (int)at;
    driver.process = getpid();
    driver.ready = true;
    return CUDA_SUCCESS;
}

CUresult cuInit(unsigned int flags) {
    Call call;
    pthread_mutex_lock(&driver.lock);
    call = (Call){.name = __func__};
    call.result = initialise(&call, flags);
    return call_leave(&call);
}

CUresult cuDriverGetVersion(int *version) {
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = DRIVER_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **name) {
    if (!name) return CUDA_ERROR_INVALID_VALUE;
    *name = error_name(error);
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
    if (!text) return CUDA_ERROR_INVALID_VALUE;
    *text = NULL;
    switch (error) {
#define ERROR(name, number, sentence)                                                              \
    case name:                                                                                     \
        *text = sentence;                                                                          \
        break;
#include "tests/vgpu/errors.def"
#undef ERROR
    }
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

typedef struct {
    const char *base;
    int version;
    bool per_thread;
    void *function;
} Symbol;

static const Symbol symbols[] = {
#define API(base, version, function, parameters) {#base, version, false, (void *)function},
#define PER_THREAD(base, version, function, parameters) {#base, version, true, (void *)function},
#include "tests/vgpu/api.def"
#undef API
#undef PER_THREAD
};

/* Whether a client of that version and kind would rather have `one` than `other`. */
static bool better(const Symbol *one, const Symbol *other, bool per_thread) {
    if (!other) return true;
    if (one->per_thread != other->per_thread) return one->per_thread == per_thread;
    return one->version > other->version;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status) {
    bool per_thread = flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, known = false;
    const Symbol *best = NULL;
    if (!symbol || !function) return CUDA_ERROR_INVALID_VALUE;
    for (size_t at = 0; at < sizeof symbols / sizeof *symbols; at++) {
        const Symbol *candidate = &symbols[at];
        if (strcmp(candidate->base, symbol) != 0) continue;
        known = true;
        bool fits = candidate->version <= version && (per_thread || !candidate->per_thread);
        if (fits && better(candidate, best, per_thread)) best = candidate;
    }
    *function = best ? best->function : NULL;
    if (status)
        *status = best    ? CU_GET_PROC_ADDRESS_SUCCESS
                  : known ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                          : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return best ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress(const char *symbol, void **function, int version, cuuint64_t flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, NULL);
}

/* Undocumented tables of NVIDIA's own libraries (NVRTC asks for one): there are none. */
CUresult cuGetExportTable(const void **table, const CUuuid *id) {
    (void)id;
    if (table) *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

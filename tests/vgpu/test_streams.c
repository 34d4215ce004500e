/* Streams and events: work runs late, in the order that streams and events say and in no other. */
#include "tests/vgpu/process.h"

static void download_lands_at_the_wait(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4);
    uint32_t *host;
    CALL(cuMemAllocHost_v2((void **)&host, 4));
    *host = 5;
    launch_set(&client, stream, memory, 42, 1);
    CALL(cuMemcpyDtoHAsync_v2(host, memory, 4, stream));
    CHECK(*host == 0xcbcbcbcb);
    CALL(cuStreamSynchronize(stream));
    CHECK(*host == 42);
}

static void changed_source_is_reported(void) {
    client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(16);
    uint32_t *host;
    CALL(cuMemAllocHost_v2((void **)&host, 16));
    memset(host, 0, 16);
    CALL(cuMemcpyHtoDAsync_v2(memory, host, 16, stream));
    CALL(cuStreamSynchronize(stream));
    CALL(cuMemcpyHtoDAsync_v2(memory, host, 16, stream));
    host[3] = 1;
    REFUSED(cuStreamSynchronize(stream), CUDA_SUCCESS, "host buffer changed before its copy ran");
}

static void pageable_source_is_staged(void) {
    client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4);
    uint32_t host = 1;
    CALL(cuMemcpyHtoDAsync_v2(memory, &host, 4, stream));
    host = 2;
    CALL(cuStreamSynchronize(stream));
    CHECK(peek(memory) == 1);
}

/* A buffer that goes to the device and comes back in one stream is in order. */
static void round_trip_through_one_buffer(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4);
    uint32_t *host;
    CALL(cuMemAllocHost_v2((void **)&host, 4));
    *host = 10;
    CALL(cuMemcpyHtoDAsync_v2(memory, host, 4, stream));
    launch_increment(&client, stream, memory, 1);
    CALL(cuMemcpyDtoHAsync_v2(host, memory, 4, stream));
    CALL(cuMemcpyHtoDAsync_v2(memory, host, 4, stream));
    launch_increment(&client, stream, memory, 1);
    CALL(cuMemcpyDtoHAsync_v2(host, memory, 4, stream));
    CALL(cuStreamSynchronize(stream));
    CHECK(*host == 12);
}

static uint32_t produce_and_consume(bool wait) {
    Client client = client_open();
    CUstream producer = new_stream(CU_STREAM_NON_BLOCKING);
    CUstream consumer = new_stream(CU_STREAM_NON_BLOCKING);
    CUevent ready = new_event();
    CUdeviceptr memory = new_memory(4);
    uint32_t *host;
    CALL(cuMemAllocHost_v2((void **)&host, 4));
    launch_set(&client, producer, memory, 42, 1);
    CALL(cuEventRecord(ready, producer));
    if (wait) CALL(cuStreamWaitEvent(consumer, ready, 0));
    CALL(cuMemcpyDtoHAsync_v2(host, memory, 4, consumer));
    CALL(cuStreamSynchronize(consumer));
    return *host;
}

static void wait_orders_streams(void) {
    CHECK(produce_and_consume(true) == 42);
}

static void missing_wait_shows(void) {
    CHECK(produce_and_consume(false) == 0);
}

/* A wait is for the record that was last when it was issued, not for later ones. */
static void wait_is_for_the_last_record(void) {
    Client client = client_open();
    CUstream producer = new_stream(CU_STREAM_NON_BLOCKING);
    CUstream consumer = new_stream(CU_STREAM_NON_BLOCKING);
    CUevent event = new_event();
    CUdeviceptr memory = new_memory(4);
    launch_set(&client, producer, memory, 1, 1);
    CALL(cuEventRecord(event, producer));
    CALL(cuStreamWaitEvent(consumer, event, 0));
    launch_set(&client, producer, memory, 2, 1);
    CALL(cuEventRecord(event, producer));
    CALL(cuStreamSynchronize(consumer));
    CHECK(peek(memory) == 1);
    CALL(cuEventSynchronize(event));
    CHECK(peek(memory) == 2);
}

static void default_stream_waits_for_blocking_streams(void) {
    Client client = client_open();
    CUstream blocking = new_stream(CU_STREAM_DEFAULT);
    CUstream other = new_stream(CU_STREAM_NON_BLOCKING);
    CUdeviceptr memory = new_memory(8);
    uint32_t host[2];
    launch_set(&client, blocking, memory, 1, 1);
    launch_set(&client, other, memory + 4, 1, 1);
    CALL(cuMemcpyDtoH_v2(host, memory, 8));
    CHECK(host[0] == 1 && host[1] == 0);
}

static void blocking_streams_wait_for_the_default_stream(void) {
    Client client = client_open();
    CUstream blocking = new_stream(CU_STREAM_DEFAULT);
    CUdeviceptr memory = new_memory(4);
    launch_set(&client, NULL, memory, 1, 1);
    launch_increment(&client, blocking, memory, 1);
    CALL(cuStreamSynchronize(blocking));
    CHECK(peek(memory) == 2);
}

static void per_thread_stream_is_its_own(void) {
    Client client = client_open();
    CUdeviceptr memory = new_memory(4);
    launch_set(&client, CU_STREAM_PER_THREAD, memory, 3, 1);
    CHECK(peek(memory) == 0);
    CALL(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    CHECK(peek(memory) == 3);
    uint32_t value = 4;
    CALL(cuMemcpyHtoD_v2_ptds(memory, &value, 4));
    CHECK(peek(memory) == 4);
}

static void queries_get_there(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUevent event = new_event();
    CUdeviceptr memory = new_memory(4);
    CALL(cuStreamQuery(stream));
    CALL(cuEventQuery(event));
    for (int launch = 0; launch < 100; launch++) launch_increment(&client, stream, memory, 1);
    CALL(cuEventRecord(event, stream));
    REFUSED(cuEventQuery(event), CUDA_ERROR_NOT_READY, NULL);
    int queries = 1;
    while (cuStreamQuery(stream) == CUDA_ERROR_NOT_READY) queries++;
    CHECK(queries > 2 && queries < 20);
    CALL(cuEventQuery(event));
    CHECK(peek(memory) == 100);
}

static void destroyed_stream_has_run(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_NON_BLOCKING);
    CUdeviceptr memory = new_memory(4);
    launch_set(&client, stream, memory, 6, 1);
    CALL(cuStreamDestroy_v2(stream));
    CHECK(peek(memory) == 6);
    REFUSED(cuStreamSynchronize(stream), CUDA_ERROR_INVALID_HANDLE, "was destroyed");
}

static void time_is_virtual(void) {
    Client client = client_open();
    CUstream stream = new_stream(CU_STREAM_DEFAULT);
    CUevent first = new_event(), middle = new_event(), last = new_event(), untimed;
    CUdeviceptr memory = new_memory(4 << 20);
    float small, large;
    CALL(cuEventRecord(first, stream));
    launch_set(&client, stream, memory, 1, 64);
    CALL(cuEventRecord(middle, stream));
    launch_set(&client, stream, memory, 1, 1 << 20);
    CALL(cuEventRecord(last, stream));
    REFUSED(cuEventElapsedTime(&small, first, middle), CUDA_ERROR_NOT_READY, NULL);
    CALL(cuStreamSynchronize(stream));
    CALL(cuEventElapsedTime(&small, first, middle));
    CALL(cuEventElapsedTime_v2(&large, middle, last));
    CHECK(small >= 0.002f && small < 0.0021f); /* what every launch takes */
    CHECK(large > small && large < 0.1f);
    CALL(cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING));
    CALL(cuEventRecord(untimed, stream));
    REFUSED(cuEventElapsedTime(&small, first, untimed), CUDA_ERROR_INVALID_HANDLE,
            "without timing");
}

/* ---- seeds ---- */

static uint32_t unordered_writers(void) {
    Client client = client_open();
    CUstream one = new_stream(CU_STREAM_NON_BLOCKING), other = new_stream(CU_STREAM_NON_BLOCKING);
    CUdeviceptr memory = new_memory(4);
    launch_set(&client, one, memory, 1, 1);
    launch_set(&client, other, memory, 2, 1);
    CALL(cuCtxSynchronize());
    return peek(memory);
}

/* Its answer is the exit status, which run_case cannot pass on: a file is. */
static const char *answers = "/tmp/vgpu-answers.txt";

static void write_answer(void) {
    FILE *file = fopen(answers, "a");
    CHECK(file);
    fprintf(file, "%u", unordered_writers());
    fclose(file);
}

static void seeds_shuffle_streams(void **state) {
    (void)state;
    char path[100], setting[40], text[100];
    snprintf(path, sizeof path, "/tmp/vgpu-answers-%d.txt", getpid());
    answers = path;
    for (int seed = 1; seed <= 16; seed++) {
        snprintf(setting, sizeof setting, "VGPU_SEED=%d", (seed + 1) / 2);
        run_case(write_answer, setting, NULL);
    }
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    unlink(path);
    assert_int_equal(strlen(text), 16);
    assert_non_null(strchr(text, '1')); /* both orders occur */
    assert_non_null(strchr(text, '2'));
    for (int seed = 0; seed < 16; seed += 2) assert_int_equal(text[seed], text[seed + 1]);
}

/* In issue order, and with other work between. */
#define CASES(row)                                                                                 \
    row(download_lands_at_the_wait) row(changed_source_is_reported) row(pageable_source_is_staged) \
        row(round_trip_through_one_buffer) row(wait_orders_streams) row(queries_get_there)         \
            row(destroyed_stream_has_run) row(blocking_streams_wait_for_the_default_stream)        \
                row(time_is_virtual)
/* With a seed, what need not run may run. */
#define UNSEEDED_CASES(row)                                                                        \
    row(missing_wait_shows) row(wait_is_for_the_last_record)                                       \
        row(default_stream_waits_for_blocking_streams) row(per_thread_stream_is_its_own)

#define UNSEEDED_TEST(name)                                                                        \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_case(name, NULL);                                                                      \
    }
#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_case(name, NULL);                                                                      \
        run_case(name, "VGPU_SEED=7", NULL);                                                       \
    }
CASES(TEST)
UNSEEDED_CASES(UNSEEDED_TEST)

int main(void) {
#define ENTRY(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {CASES(ENTRY) UNSEEDED_CASES(ENTRY)
                                           cmocka_unit_test(seeds_shuffle_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

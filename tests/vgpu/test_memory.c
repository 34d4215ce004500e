/* The device's memory as the host sees it: addresses, names, copies and their errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/vgpu/machine.h"

static void test_addresses(void **state) {
    (void)state;
    Memory *memory = memory_new(1 << 20, false);
    const uint64_t a = memory_allocate(memory, 100, "a");
    const uint64_t b = memory_allocate(memory, 1, "b");
    assert_true(a != 0 && a % 256 == 0 && b % 256 == 0);
    assert_true(b >= a + 100 + 256);
    assert_true(b < SHARED_WINDOW);
    assert_int_equal(memory_used(memory), 101);
    memory_free_all(memory);
}

static void test_devices(void **state) {
    (void)state;
    Memory *first = memory_new(1 << 20, false), *second = memory_new(1 << 20, false);
    memory_of_device(second, 1);
    const uint64_t a = memory_allocate(first, 100, "a"), b = memory_allocate(second, 100, "b");
    char byte = 0;
    assert_true(a != b);
    assert_non_null(memory_write(first, b, &byte, 1));
    assert_non_null(memory_write(second, a, &byte, 1));
    assert_null(memory_write(second, b, &byte, 1));
    memory_free_all(first);
    memory_free_all(second);
}

static void test_limit(void **state) {
    (void)state;
    Memory *memory = memory_new(1000, true);
    assert_int_equal(memory_allocate(memory, 0, "nothing"), 0);
    const uint64_t a = memory_allocate(memory, 600, "a");
    assert_int_equal(memory_allocate(memory, 401, "b"), 0);
    assert_int_equal(memory_allocate(memory, UINT64_MAX, "b"), 0);
    assert_true(memory_release(memory, a));
    assert_true(memory_allocate(memory, 1000, "b") > a + 600); /* never the same address */
    memory_free_all(memory);
}

static void test_release(void **state) {
    (void)state;
    char byte = 0;
    Memory *memory = memory_new(1000, true);
    const uint64_t a = memory_allocate(memory, 64, "weights");
    assert_false(memory_release(memory, a + 1));
    assert_false(memory_release(memory, 0));
    assert_true(memory_release(memory, a));
    assert_false(memory_release(memory, a));
    assert_string_equal(memory_read(memory, a + 8, &byte, 1), "'weights' (64 bytes) was freed");
    memory_free_all(memory);
}

static void test_copies(void **state) {
    (void)state;
    const char text[] = "fifteen letters";
    char back[sizeof text] = "";
    Memory *memory = memory_new(1000, true);
    const uint64_t a = memory_allocate(memory, 64, "a"), b = memory_allocate(memory, 64, "b");
    assert_null(memory_write(memory, a + 3, text, sizeof text));
    assert_null(memory_copy(memory, b + 40, a + 3, sizeof text));
    assert_null(memory_read(memory, b + 40, back, sizeof back));
    assert_string_equal(back, text);
    assert_null(memory_fill(memory, b + 40, 'x', 1, 3));
    assert_null(memory_fill(memory, b + 44, 0x41424344, 4, 2));
    assert_null(memory_read(memory, b + 40, back, sizeof back));
    assert_memory_equal(back, "xxxtDCBADCBAers", sizeof text);
    assert_null(memory_read(memory, b, NULL, 0));
    memory_free_all(memory);
}

static void test_messages(void **state) {
    (void)state;
    char bytes[100];
    Memory *memory = memory_new(1000, true);
    const uint64_t a = memory_allocate(memory, 64, NULL);
    memory_name(memory, a, "trials");
    assert_string_equal(memory_read(memory, a + 60, bytes, 20),
                        "ends 16 bytes behind the end of 'trials' (64 bytes)");
    assert_string_equal(memory_write(memory, a + 64, bytes, UINT64_MAX),
                        "ends 18446744073709551615 bytes behind the end of 'trials' (64 bytes)");
    assert_non_null(strstr(memory_fill(memory, a + 164, 0, 4, 1),
                           "is in no allocation: it lies 100 bytes behind the end of 'trials'"));
    assert_string_equal(memory_copy(memory, 16, a, 4), "0x10 is no address of this device");
    assert_string_equal(memory_copy(memory, a, 16, 4), "0x10 is no address of this device");
    memory_free_all(memory);
}

/* Many allocations, found again in any order. */
static void test_many(void **state) {
    (void)state;
    enum { COUNT = 300 };
    uint64_t at[COUNT];
    Memory *memory = memory_new(1 << 20, false);
    for (uint32_t i = 0; i < COUNT; i++) {
        at[i] = memory_allocate(memory, 4 + i, "block");
        assert_null(memory_write(memory, at[i] + i, &i, 4));
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        const uint32_t which = i * 7 % COUNT;
        uint32_t value = 0;
        assert_null(memory_read(memory, at[which] + which, &value, 4));
        assert_int_equal(value, which);
        assert_non_null(memory_read(memory, at[which] + which, &value, 5));
    }
    memory_free_all(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_devices),
        cmocka_unit_test(test_limit),     cmocka_unit_test(test_release),
        cmocka_unit_test(test_copies),    cmocka_unit_test(test_messages),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Independent uniform draws: 53 bits of one Philox block per point and hyperparameter. */
#include "runtime/search_algorithm.h"

#include <math.h>

#include "runtime/philox.h"

enum { RANDOM_STREAM = 2 }; /* sub-seed; search_quasirandom.c has 0 and 1 */

void search_random(const TuneStudy *study, uint32_t at, double *values) {
    uint32_t key[2];
    philox_key(study->search_seed, RANDOM_STREAM, PURPOSE_SEARCH, key);
    for (uint32_t h = 0; h < study->hyper_count; h++) {
        if (!search_exists(study, h, values)) {
            values[h] = NAN;
            continue;
        }
        PhiloxBlock block = philox((const uint32_t[4]){at, h, 0, 0}, key);
        uint64_t bits = ((uint64_t)block.word[1] << 32 | block.word[0]) >> 11;
        values[h] = search_value_at(&study->hypers[h], (double)bits * 0x1p-53);
    }
}

/* liblzma behind functions that take numbers, so that Rust need not declare its structures. */
#include <lzma.h>
#include <string.h>

enum { FILTERS_MAX = LZMA_FILTERS_MAX };

/* liblzma's functions without an allocator. It always has one. */
void *lzma_kernel_malloc(size_t size) { return (void)size, NULL; }
void *lzma_kernel_calloc(size_t count, size_t size) { return (void)count, (void)size, NULL; }
void lzma_kernel_free(void *memory) { (void)memory; }

/* A filter. Numbers that are not given come from the preset or are liblzma's defaults. The same
 * structure is in filters.rs. */
typedef struct {
    uint64_t id;
    uint32_t given; /* a bit for each number below, in their order */
    uint32_t preset, dictionary, lc, lp, pb, mode, nice_length, match_finder, depth;
    uint32_t distance, start_offset;
} kernel_filter;

enum {
    GIVEN_PRESET, GIVEN_DICTIONARY, GIVEN_LC, GIVEN_LP, GIVEN_PB, GIVEN_MODE, GIVEN_NICE_LENGTH,
    GIVEN_MATCH_FINDER, GIVEN_DEPTH, GIVEN_DISTANCE, GIVEN_START_OFFSET,
};

/* One call at a time, so one stream. */
static lzma_stream stream;
static lzma_allocator allocator;
static lzma_filter chain[FILTERS_MAX + 1];
static union {
    lzma_options_lzma lzma;
    lzma_options_delta delta;
    lzma_options_bcj bcj;
} options[FILTERS_MAX];

static void set(const kernel_filter *filter, int bit, uint32_t *to, uint32_t value) {
    if (filter->given >> bit & 1) *to = value;
}

static lzma_ret set_lzma(const kernel_filter *filter, uint32_t most, lzma_options_lzma *to) {
    uint32_t preset = LZMA_PRESET_DEFAULT, mode, match_finder;
    set(filter, GIVEN_PRESET, &preset, filter->preset);
    if (lzma_lzma_preset(to, preset)) return LZMA_OPTIONS_ERROR;
    mode = to->mode;
    match_finder = to->mf;
    set(filter, GIVEN_DICTIONARY, &to->dict_size, filter->dictionary);
    set(filter, GIVEN_LC, &to->lc, filter->lc);
    set(filter, GIVEN_LP, &to->lp, filter->lp);
    set(filter, GIVEN_PB, &to->pb, filter->pb);
    set(filter, GIVEN_MODE, &mode, filter->mode);
    set(filter, GIVEN_NICE_LENGTH, &to->nice_len, filter->nice_length);
    set(filter, GIVEN_MATCH_FINDER, &match_finder, filter->match_finder);
    set(filter, GIVEN_DEPTH, &to->depth, filter->depth);
    to->mode = (lzma_mode)mode;
    to->mf = (lzma_match_finder)match_finder;
    if (to->dict_size > most) to->dict_size = most;
    return LZMA_OK;
}

/* Set the chain of filters.
 *   most: the largest dictionary that is useful. */
static lzma_ret set_chain(const kernel_filter *filters, size_t count, uint32_t most) {
    if (count > FILTERS_MAX) return LZMA_OPTIONS_ERROR;
    memset(options, 0, sizeof options);
    for (size_t i = 0; i < count; i++) {
        const kernel_filter *filter = &filters[i];
        chain[i] = (lzma_filter){filter->id, &options[i]};
        switch (filter->id) {
            case LZMA_FILTER_LZMA1:
            case LZMA_FILTER_LZMA2: {
                lzma_ret found = set_lzma(filter, most, &options[i].lzma);
                if (found != LZMA_OK) return found;
                break;
            }
            case LZMA_FILTER_DELTA:
                options[i].delta.type = LZMA_DELTA_TYPE_BYTE;
                options[i].delta.dist = LZMA_DELTA_DIST_MIN;
                set(filter, GIVEN_DISTANCE, &options[i].delta.dist, filter->distance);
                break;
            default:
                set(filter, GIVEN_START_OFFSET, &options[i].bcj.start_offset,
                    filter->start_offset);
        }
    }
    chain[count].id = LZMA_VLI_UNKNOWN;
    return LZMA_OK;
}

static void begin(lzma_allocator memory) {
    allocator = memory;
    stream = (lzma_stream)LZMA_STREAM_INIT;
    stream.allocator = &allocator;
}

/* Containers, with the numbers of Python's module. */
enum { AUTO, XZ, ALONE, RAW };

/* Begin to decode; `filters` is for RAW. */
int lzma_kernel_decode(const lzma_allocator *memory, int container, const kernel_filter *filters,
                       size_t count) {
    begin(*memory);
    switch (container) {
        case AUTO: return lzma_auto_decoder(&stream, UINT64_MAX, 0);
        case XZ: return lzma_stream_decoder(&stream, UINT64_MAX, 0);
        case ALONE: return lzma_alone_decoder(&stream, UINT64_MAX);
        default: {
            lzma_ret found = set_chain(filters, count, UINT32_MAX);
            return found == LZMA_OK ? lzma_raw_decoder(&stream, chain) : found;
        }
    }
}

/* Begin to encode; `check` is for XZ. */
int lzma_kernel_encode(const lzma_allocator *memory, int container, int check,
                       const kernel_filter *filters, size_t count, uint32_t dictionary_most) {
    begin(*memory);
    lzma_ret found = set_chain(filters, count, dictionary_most);
    if (found != LZMA_OK) return found;
    switch (container) {
        case XZ: return lzma_stream_encoder(&stream, chain, (lzma_check)check);
        case ALONE:
            if (count != 1 || chain->id != LZMA_FILTER_LZMA1) return LZMA_OPTIONS_ERROR;
            return lzma_alone_encoder(&stream, chain->options);
        default: return lzma_raw_encoder(&stream, chain);
    }
}

/* Continue; sets `size` and `room` to the bytes left of the input and the output. */
int lzma_kernel_step(const uint8_t *input, size_t *size, uint8_t *output, size_t *room) {
    stream.next_in = input;
    stream.avail_in = *size;
    stream.next_out = output;
    stream.avail_out = *room;
    lzma_ret found = lzma_code(&stream, LZMA_FINISH);
    *size = stream.avail_in;
    *room = stream.avail_out;
    return found;
}

void lzma_kernel_end(void) { lzma_end(&stream); }

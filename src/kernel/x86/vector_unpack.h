/* vector_unpack.h: direct unpackers of the common types, from a file's bytes to a panel of a tile, eight or four rows at a time. Included by
 * vector_int8.h, which says how a tile lies and what a vector is.
 *
 * In a step of one token each weight is used once, so these decide the speed of generation. What belongs to several rows lies across
 * the lanes from the start: the scales of a super-block are unpacked for all rows at once. */
enum { PARTS = 32 / VECTOR }; /* vectors that hold 32 codes of a row */

/* Rows side by side are not what a processor foresees: it is told, line by line, of as many bytes of the rows after these. */
static inline const char *fetch_ahead(const char *next, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(next + i, _MM_HINT_T1);
    return next + bytes;
}

INLINE vi nibbles(vi x, int which) { return vi_and(vi_srl16(x, 4 * which), vi_set8(15)); }

/* Part `part` of the codes of block number b (of 32) in a block of the type, as they are stored in a tile. */
INLINE vi load_codes(enum dtype type, const uint8_t *w, int b, int part) {
    const int at = part * VECTOR;
    if (type == DT_Q8_0) return vi_loadu(((const struct block_q8_0 *)(const void *)w)->qs + at);
    if (type == DT_Q4_0) return vi_add8(vi_half_bytes(((const struct block_q4_0 *)(const void *)w)->qs, part), vi_set8(8)); /* q - 8 + 16 */
    if (type == DT_Q4_K) return nibbles(vi_loadu(((const struct block_q4_k *)(const void *)w)->qs + b / 2 * 32 + at), b % 2);
    if (type == DT_Q5_K) {
        const struct block_q5_k *k = (const void *)w;
        const vi high = vi_and(vi_srl16(vi_loadu(k->qh + at), b), vi_set8(1));
        return vi_or(nibbles(vi_loadu(k->qs + b / 2 * 32 + at), b % 2), vi_sll16(high, 4));
    }
    const struct block_q6_k *k = (const void *)w; /* q - 32 + 32 */
    const vi high = vi_and(vi_srl16(vi_loadu(k->qh + b / 4 * 32 + at), 2 * (b % 4)), vi_set8(3));
    return vi_or(nibbles(vi_loadu(k->ql + b / 4 * 64 + b % 2 * 32 + at), b % 4 / 2), vi_sll16(high, 4));
}

INLINE void put_floats(uint8_t *t, vf x) { vf_store((void *)t, x); }

/* d times byte j of each lane. */
INLINE vf times_unsigned(vf d, vi x, int j) { return d * vi_float(vi_and(vi_srl32(x, 8 * j), vi_set32(255))); }
INLINE vf times_signed(vf d, vi x, int j) { return d * vi_float(vi_sra32(vi_sll32(x, 24 - 8 * j), 24)); }

/* Scales and minimums of a super-block of Q4_K or Q5_K (k4_scale_min, for all rows), to the eight blocks at t. */
INLINE void put_k4_scales(const uint8_t *w, size_t row_bytes, uint8_t *t, size_t block) {
    const vf d = halves_of_rows(w, row_bytes), dmin = halves_of_rows(w + 2, row_bytes);
    const vi a = fours_of_rows(w + 4, row_bytes), b = fours_of_rows(w + 8, row_bytes), c = fours_of_rows(w + 12, row_bytes);
    const vi six = vi_set8(63), four = vi_set8(15), top = vi_set8(48);
    const vi scale[2] = {vi_and(a, six), vi_or(vi_and(c, four), vi_and(vi_srl32(a, 2), top))};
    const vi min[2] = {vi_and(b, six), vi_or(vi_and(vi_srl32(c, 4), four), vi_and(vi_srl32(b, 2), top))};
    UNROLL
    for (int j = 0; j < 8; j++, t += block) {
        put_floats(t + CODES, times_unsigned(d, scale[j / 4], j % 4));
        put_floats(t + CODES + VECTOR, times_unsigned(dmin, min[j / 4], j % 4));
    }
}

INLINE void put_q6_k_scales(const uint8_t *w, size_t row_bytes, uint8_t *t, size_t block) {
    const vf d = halves_of_rows(w + offsetof(struct block_q6_k, d), row_bytes);
    UNROLL
    for (int i = 0; i < 4; i++) {
        const vi four = fours_of_rows(w + offsetof(struct block_q6_k, scales) + i * 4, row_bytes);
        UNROLL
        for (int j = 0; j < 4; j++) put_floats(t + (size_t)(i * 2 + j / 2) * block + CODES + j % 2 * VECTOR, times_signed(d, four, j));
    }
}

/* The n weights of VF_LANES whole rows. The type's shape is given as constants. */
INLINE void direct_unpack(enum dtype type, size_t elements, size_t bytes, size_t block, const char *rows, size_t row_bytes, size_t n, uint8_t *t) {
    const uint8_t *w = (const void *)rows;
    const char *next = rows + VF_LANES * row_bytes;
    for (size_t i = 0; i < n; i += elements, w += bytes) {
        next = fetch_ahead(next, VF_LANES * bytes);
        if (type == DT_Q8_0 || type == DT_Q4_0) put_floats(t + CODES, halves_of_rows(w, row_bytes));
        else if (type == DT_Q6_K) put_q6_k_scales(w, row_bytes, t, block);
        else put_k4_scales(w, row_bytes, t, block);
        for (int b = 0; b < (int)(elements / 32); b++, t += block) {
            UNROLL
            for (int part = 0; part < PARTS; part++) {
                vi v[VF_LANES];
                UNROLL
                for (size_t r = 0; r < VF_LANES; r++) v[r] = load_codes(type, w + r * row_bytes, b, part);
                turn(v);
                UNROLL
                for (int j = 0; j < VF_LANES; j++) vi_store(t + (part * VF_LANES + j) * VECTOR, v[j]);
            }
        }
    }
}

#define UNPACKER(TYPE, NAME, ELEMENTS, VECTORS)                                                                                      \
    static void unpack_##NAME(const char *w, size_t row_bytes, size_t n, uint8_t *t) {                                                \
        direct_unpack(TYPE, ELEMENTS, sizeof(struct block_##NAME), CODES + (VECTORS) * (size_t)VECTOR, w, row_bytes, n, t);             \
    }
UNPACKER(DT_Q8_0, q8_0, 32, 1)
UNPACKER(DT_Q4_0, q4_0, 32, 1)
UNPACKER(DT_Q4_K, q4_k, SUPER, 2)
UNPACKER(DT_Q5_K, q5_k, SUPER, 2)
UNPACKER(DT_Q6_K, q6_k, SUPER, 2)
#undef UNPACKER

typedef void (*panel_unpacker)(const char *w, size_t row_bytes, size_t n, uint8_t *panel);

/* NULL: none, and a type's codes are taken from dtype_info. */
static panel_unpacker direct_unpacker(enum dtype type) {
    switch (type) {
    case DT_Q8_0: return unpack_q8_0;
    case DT_Q4_0: return unpack_q4_0;
    case DT_Q4_K: return unpack_q4_k;
    case DT_Q5_K: return unpack_q5_k;
    case DT_Q6_K: return unpack_q6_k;
    default: return NULL;
    }
}

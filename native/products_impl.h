// Products of matrices in blocks of registers. Included by kernels_impl.h inside its anonymous namespace.

// Memory of a thread that only grows. Plain malloc: a std::vector's code compiled here might serve older machines.
typedef uint32_t Word __attribute__((may_alias));
struct Scratch {
  Word* words = nullptr;
  size_t size = 0;
  Word* need(size_t count) {
    if (count > size) {
      __builtin_free(words);
      words = static_cast<Word*>(std::aligned_alloc(64, (count * sizeof(Word) + 63) / 64 * 64));
      if (!words) std::abort();  // a few hundred KB; there is no way back to Python from here
      size = count;
    }
    return words;
  }
  ~Scratch() { __builtin_free(words); }
};
thread_local Scratch panel_scratch;

// The columns of B that are at hand: row k at b + k * b_row.
struct Panel {
  const float* b;
  size_t b_row;
};

// A block that only needs rectifying, or whose units compete in pairs, is finished in registers: calling its finish and
// loading the values again cost 4 % of a step. Returns false, and has done nothing, where more is to be done before packing.
template <int kHeight, int kVectors>
INLINE bool finish_in_registers(const Product& p, int m0, int n0, vf (&sum)[kHeight][kVectors]) {
  if (p.keep || p.kept != 0.f || p.learned) return false;
  if (p.finish == finish_forward<Relu, false>) {
#pragma GCC unroll 16
    for (int m = 0; m < kHeight; m++)
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; n++) sum[m][n] = Relu::at(sum[m][n], 0.f).value;
  } else if (p.finish == backward_relu<Full>) {
    const float* outputs = p.slopes + m0 * p.slopes_row + n0;
#pragma GCC unroll 16
    for (int m = 0; m < kHeight; m++)
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; n++)
        sum[m][n] = load(outputs + m * p.slopes_row + n * LANES) > 0.f ? sum[m][n] : vf{};
  } else if (p.finish == finish_lwta && p.parameter == 2.f) {
#pragma GCC unroll 16
    for (int m = 0; m < kHeight; m++)
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; n++) sum[m][n] = winners<2>(sum[m][n]);
  } else if (p.finish == backward_lwta<Full>) {
    const float* outputs = p.slopes + m0 * p.slopes_row + n0;
#pragma GCC unroll 16
    for (int m = 0; m < kHeight; m++)
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; n++)
        sum[m][n] = of_winners(sum[m][n], load(outputs + m * p.slopes_row + n * LANES));
  } else if (p.finish) {
    return false;
  }
#pragma GCC unroll 4
  for (int n = 0; n < kVectors; n++) {
    if (p.fired) {
      vu* bits_of = reinterpret_cast<vu*>(p.fired + n0 + n * LANES);
      vu any = *bits_of;
#pragma GCC unroll 16
      for (int m = 0; m < kHeight; m++) any |= reinterpret_cast<vu>(sum[m][n]);
      *bits_of = any;
    }
    if (p.sums) {
      vf rows = sum[0][n];
#pragma GCC unroll 16
      for (int m = 1; m < kHeight; m++) rows += sum[m][n];
      store(p.sums + n0 + n * LANES, load(p.sums + n0 + n * LANES) + rows);
    }
  }
  return true;
}

template <class Type, int kHeight, int kVectors, bool kListed>
INLINE void block(const Product& p, Panel panel, int m0, int n0) {
  using Operand = typename Type::Word;
  using Vector = typename Type::Vector;
  alignas(64) float own[kHeight * kVectors * LANES];  // stays in L1
  float* c = p.c ? p.c + m0 * p.c_row + n0 : own;
  const size_t c_row = p.c ? p.c_row : kVectors * LANES;
  vf sum[kHeight][kVectors];
#pragma GCC unroll 16
  for (int m = 0; m < kHeight; m++)
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; n++)
      sum[m][n] = p.accumulate ? load(c + m * c_row + n * LANES) : p.bias ? load(p.bias + n0 + n * LANES) : vf{};
  const Operand* a = reinterpret_cast<const Operand*>(p.a) + m0 * p.a_row;
  const float* b = panel.b;
  const size_t a_row = p.a_row, a_step = p.a_step, b_row = panel.b_row;
  const auto step = [&](const Operand* left, const float* right) __attribute__((always_inline)) {
    Vector w[kVectors];
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; n++) w[n] = *reinterpret_cast<const Vector*>(right + n * LANES);
#pragma GCC unroll 16
    for (int m = 0; m < kHeight; m++) {
      const Operand x = left[m * a_row];
#pragma GCC unroll 4
      for (int n = 0; n < kVectors; n++) sum[m][n] = Type::add_product(sum[m][n], x, w[n]);
    }
  };
  if constexpr (kListed) {
    const int32_t* list = p.lists + m0 / BLOCK_ROWS * p.list_row;
    const int32_t* const end = list + p.lengths[m0 / BLOCK_ROWS];
#pragma GCC unroll 2
    for (; list < end; list++) {
      const size_t k = static_cast<uint32_t>(*list);
      step(a + k, b + k * b_row);
    }
  } else {
    for (int k = p.depth; k > 0; k--, a += a_step, b += b_row) step(a, b);
  }
  const bool finished = finish_in_registers<kHeight, kVectors>(p, m0, n0, sum);
#pragma GCC unroll 16
  for (int m = 0; m < kHeight; m++)
#pragma GCC unroll 4
    for (int n = 0; n < kVectors; n++) store(c + m * c_row + n * LANES, sum[m][n]);
  if (!finished) finish_block(p, m0, n0, c, c_row, kHeight, kVectors * LANES);
  else if (p.rows16 || p.pairs) pack_block(p, m0, n0, c, c_row, kHeight, kVectors * LANES);
}

INLINE const float* row_of_b(const Product& p, int k) {
  return p.b + (p.b_rows ? static_cast<size_t>(p.b_rows[k]) : static_cast<size_t>(k)) * p.b_row;
}
// Step k of B, columns from n on, as pairs, where it is float32.
INLINE vu paired(const Product& p, int k, int n) {
  const bool last = 2 * k + 1 == p.b_floats;
  return to_pairs(load(row_of_b(p, 2 * k) + n), last ? vf{} : load(row_of_b(p, 2 * k + 1) + n));
}

// The columns [n, n + kVectors vectors) of C. A large matrix comes from L2 or beyond, and its rows lie too far apart for the
// processor to foresee: while a block is computed, its share of the columns that come next is fetched. Picked rows
// (b_rows) are also laid side by side, as they would crowd some sets of L1 and leave others empty.
template <class Type, int kHeight, int kVectors, bool kListed>
void column(const Product& p, int n) {
  constexpr int kWidth = kVectors * LANES;
  constexpr size_t kFar = 24 << 10;  // floats that do not stay in L2 beside all else
  Panel panel{p.b + n, p.b_row};
  const bool halves = p.b_floats;
  if (p.b_rows || halves) {
    float* packed = reinterpret_cast<float*>(panel_scratch.need(static_cast<size_t>(p.depth) * kWidth));
    panel = {packed, kWidth};
    for (int k = 0; k < p.depth; k++, packed += kWidth)
      for (int i = 0; i < kWidth; i += LANES)
        store(packed + i, halves ? reinterpret_cast<vf>(paired(p, k, n + i)) : load(row_of_b(p, k) + n + i));
  }
  const int next = n + kWidth, end = next + kWidth < p.columns ? next + kWidth : p.columns;
  const int blocks = (p.rows + kHeight - 1) / kHeight;
  const int rows_of_b = halves ? p.b_floats : p.depth;
  const bool far = next < p.columns && (p.b_rows || static_cast<size_t>(rows_of_b) * p.columns > kFar) && !(p.lists && !p.b_rows);
  const bool far_sums = p.accumulate && p.c && static_cast<size_t>(p.rows) * p.columns > kFar;
  for (int i = 0, fetched = 0; i < blocks; i++) {
    const int m = i * kHeight, left = p.rows - m;
    if (far)
      for (const int until = static_cast<int>(static_cast<int64_t>(rows_of_b) * (i + 1) / blocks); fetched < until; fetched++)
        for (int at = next; at < end; at += kLine) __builtin_prefetch(row_of_b(p, fetched) + at);
    if (far_sums && i + 1 < blocks)
      for (int r = kHeight; r < 2 * kHeight && r < left; r++)
        for (int at = n; at < next; at += kLine) __builtin_prefetch(p.c + (m + r) * p.c_row + at, 1);
    if constexpr (kRows % kHeight == 0) {
      block<Type, kHeight, kVectors, kListed>(p, panel, m, n);
    } else {  // rows come in multiples of kRows
      constexpr int kTail = kHeight > 8 ? 8 : 4;
      if (left >= kHeight) block<Type, kHeight, kVectors, kListed>(p, panel, m, n);
      else if (left == kTail) block<Type, kTail, kVectors, kListed>(p, panel, m, n);
      else block<Type, kTail / 2, kVectors, kListed>(p, panel, m, n);
    }
  }
}

template <class Type, int kHeight, int kMost, bool kListed>
void multiply_columns(const Product& p) {
  for (int n = 0; n < p.columns;) {
    const int left = (p.columns - n) / LANES;
    // 4 left are taken as 2 + 2: a block of one vector is bound by its broadcasts
    const int vectors = left >= kMost && (kMost == 2 || left != kMost + 1) ? kMost : left >= 2 ? 2 : 1;
    if (vectors == kMost) column<Type, kHeight, kMost, kListed>(p, n);
    else if (vectors == 2) column<Type, kHeight, 2, kListed>(p, n);
    else column<Type, kHeight, 1, kListed>(p, n);
    n += vectors * LANES;
  }
}

template <class Type>
void multiply(const Product& p) {
  if (p.lists) multiply_columns<Type, BLOCK_ROWS, BLOCK_VECTORS, true>(p);
  else multiply_columns<Type, Type::kHeight, Type::kVectors, false>(p);
}

// Local winner takes all: of each block of neighbouring units the largest passes, of equals the first, and the others say
// 0. Included by kernels_impl.h inside its anonymous namespace. A block lies within a vector.
//
// A winner that would say 0 says -0. So whoever says anything but 0, bit for bit, has won, which is all that the backward
// pass has to know, in float32 as in bfloat16. What is not a number wins, so that it stays visible.

using Everyone = std::make_integer_sequence<int, LANES>;

// Each lane gets what lies kStep units farther in its block, from the end on at its beginning.
template <int kBlock, int kStep, int... kLane>
INLINE vf turned(vf z, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(z, z, (kLane / kBlock * kBlock + (kLane + kStep) % kBlock)...);
}

// All bits where a unit loses against one of those up to kStep units farther: where these come first it needs to be larger.
template <int kBlock, int kStep>
INLINE vi losers(vf z) {
  if constexpr (kStep == 0) {
    return vi{};
  } else {
    vi comes_first;
    for (int i = 0; i < LANES; i++) comes_first[i] = i % kBlock + kStep >= kBlock ? -1 : 0;
    const vf rival = turned<kBlock, kStep>(z, Everyone());
    return losers<kBlock, kStep - 1>(z) | (z < rival) | ((z == rival) & comes_first);
  }
}

template <int kBlock>
INLINE vf winners(vf z) {
  const vf marked = from_bits(bits(z) | ((z == 0.f) & int32_t(0x80000000)));
  return losers<kBlock, kBlock - 1>(z) ? vf{} : marked;
}

INLINE vf of_winners(vf errors, vf outputs) { return bits(outputs) != 0 ? errors : vf{}; }

template <int kBlock>
void compete(float* values, size_t stride, int rows, int columns) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES)
      store(values + m * stride + n, winners<kBlock>(load(values + m * stride + n)));
}

void finish_lwta(float* values, size_t stride, void*, size_t, int rows, int columns, float block) {
  if (block == 2.f) compete<2>(values, stride, rows, columns);
  else compete<4>(values, stride, rows, columns);
}

template <class From>
void backward_lwta(float* values, size_t stride, void* outputs, size_t outputs_stride, int rows, int columns, float) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < columns; n += LANES)
      store(values + m * stride + n,
            of_winners(load(values + m * stride + n), From::at(outputs, m * outputs_stride + n)));
}

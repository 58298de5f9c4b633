// PReLU: below 0 each unit has a slope of its own, which it learns. Included by kernels_impl.h inside its anonymous
// namespace.

// Forward: z -> z or slope z, and what of z lies below 0 goes to `below` where it is wanted.
void prelu_forward(float* values, size_t stride, float* below, size_t below_row, int rows, int columns,
                   const float* learned) {
  for (int n = 0; n < columns; n += LANES) {
    const vf slope = load(learned + n);
    for (int m = 0; m < rows; m++) {
      const vf z = load(values + m * stride + n);
      store(values + m * stride + n, z >= 0.f ? z : z * slope);
      if (below) store(below + m * below_row + n, z < 0.f ? z : vf{});
    }
  }
}

// Backward: errors *= 1 or slope, and the slopes' gradient, errors times what lay below 0, is added to `sums`.
void prelu_backward(float* errors, size_t stride, const float* below, size_t below_row, int rows, int columns,
                    const float* learned, float* sums) {
  for (int n = 0; n < columns; n += LANES) {
    const vf slope = load(learned + n);
    vf sum{};
    for (int m = 0; m < rows; m++) {
      const vf error = load(errors + m * stride + n), z = load(below + m * below_row + n);
      sum += error * z;
      store(errors + m * stride + n, z < 0.f ? error * slope : error);
    }
    store(sums + n, load(sums + n) + sum);
  }
}

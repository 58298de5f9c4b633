// A row through a block of a fastfood layer and back. Included by kernels_impl.h after hadamard_impl.h (see kernels.h).

// t = H B x and u = H G P t, both of n floats.
void mix(const FastfoodBlock& block, const float* x, float* __restrict t, float* __restrict u) {
  const int n = block.n;
  for (int i = 0; i < block.inputs; i++) t[i] = x[i] * block.signs[i];
  for (int i = block.inputs; i < n; i++) t[i] = 0;
  hadamard(t, t, 1, static_cast<size_t>(n), block.scale);
  for (int i = 0; i < n; i++) u[i] = t[block.order[i]] * block.gaussians[i];
  hadamard(u, u, 1, static_cast<size_t>(n), block.scale);
}

void fastfood_forward(const FastfoodBlock& block, const float* x, float* scratch, float* y) {
  float* const u = scratch + block.n;
  mix(block, x, scratch, u);
  for (int i = 0; i < block.units; i++) y[i] = u[i] * block.scales[i];
}

void fastfood_backward(const FastfoodBlock& block, const float* x, const float* dy, float* scratch, float* dx,
                       float* sums) {
  const int n = block.n;
  float *__restrict t = scratch, *__restrict u = t + n, *__restrict v = u + n, *__restrict w = v + n;
  mix(block, x, t, u);
  for (int i = 0; i < block.units; i++) v[i] = dy[i] * block.scales[i], sums[i] += dy[i] * u[i];
  for (int i = block.units; i < n; i++) v[i] = 0;
  hadamard(v, v, 1, static_cast<size_t>(n), block.scale);
  sums += n;  // of the next diagonal
  for (int i = 0; i < n; i++) sums[i] += v[i] * t[block.order[i]];
  for (int i = 0; i < n; i++) w[block.order[i]] = v[i] * block.gaussians[i];
  hadamard(w, w, 1, static_cast<size_t>(n), block.scale);
  sums += n;
  for (int i = 0; i < block.inputs; i++) sums[i] += w[i] * x[i], dx[i] += w[i] * block.signs[i];
}

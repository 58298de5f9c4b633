// Look-ups in a grid of trainable entries, and the way back. Included by kernels_impl.h (see kernels.h).
//
// A level at a time over all rows of a chunk, so that the part of the table at hand (128 KB at most by default)
// stays in the cache. Entries and weights are computed a vector of rows at a time, then looked up row by row:
// with two features an entry is one load of 8 bytes.

typedef float Pair __attribute__((vector_size(8), may_alias));
constexpr uint32_t kPrime = 2654435761u;  // Mueller et al. 2022, equation 4

INLINE float clamped(float x, float most) { return x < most ? (x > 0.f ? x : 0.f) : most; }

void level_corners(const Level& level, const float* __restrict xy, int rows, int capacity,
                   uint32_t* __restrict entries, float* __restrict weights) {
  const bool hashed = level.mask != 0;
  for (int r = 0; r < rows; r++) {
    const float across = xy[2 * r] * level.across, down = xy[2 * r + 1] * level.down;
    // floor of a number that is then clamped to >= 0, so that cutting off the fraction will do
    const float low_x = clamped(across, level.across - 1.f), low_y = clamped(down, level.down - 1.f);
    const uint32_t column = static_cast<uint32_t>(static_cast<int32_t>(low_x));
    const uint32_t row = static_cast<uint32_t>(static_cast<int32_t>(low_y));
    const float u = across - static_cast<float>(static_cast<int32_t>(column));
    const float v = down - static_cast<float>(static_cast<int32_t>(row));
    const float au = 1.f - u, av = 1.f - v;
    weights[r] = au * av, weights[capacity + r] = u * av;
    weights[2 * capacity + r] = au * v, weights[3 * capacity + r] = u * v;
    const uint32_t above = hashed ? row * kPrime : row * level.row;
    const uint32_t below = above + (hashed ? kPrime : level.row);
    const uint32_t first = hashed ? (column ^ above) & level.mask : column + above;
    const uint32_t second = hashed ? ((column + 1) ^ above) & level.mask : column + 1 + above;
    const uint32_t third = hashed ? (column ^ below) & level.mask : column + below;
    const uint32_t fourth = hashed ? ((column + 1) ^ below) & level.mask : column + 1 + below;
    entries[r] = first + level.offset, entries[capacity + r] = second + level.offset;
    entries[2 * capacity + r] = third + level.offset, entries[3 * capacity + r] = fourth + level.offset;
  }
}

void grid_forward(const Grid& grid, const float* table, const float* xy, int rows, int capacity, uint32_t* entries,
                  float* weights, float* x, size_t x_stride) {
  const int F = grid.features;
  for (int l = 0; l < grid.levels; l++) {
    uint32_t* at = entries + static_cast<size_t>(4 * l) * capacity;
    float* share = weights + static_cast<size_t>(4 * l) * capacity;
    level_corners(grid.level[l], xy, rows, capacity, at, share);
    for (int r = 0; r < rows; r++) {
      float* into = x + r * x_stride + l * F;
      if (F == 2) {
        Pair sum{};
        for (int c = 0; c < 4; c++)
          sum += *reinterpret_cast<const Pair*>(table + 2 * static_cast<size_t>(at[c * capacity + r])) *
                 share[c * capacity + r];
        *reinterpret_cast<Pair*>(into) = sum;
        continue;
      }
      for (int f = 0; f < F; f++) {
        float sum = 0;
        for (int c = 0; c < 4; c++)
          sum += table[static_cast<size_t>(at[c * capacity + r]) * F + f] * share[c * capacity + r];
        into[f] = sum;
      }
    }
  }
}

void grid_backward(const Grid& grid, const uint32_t* entries, const float* weights, int rows, int capacity,
                   const float* dx, size_t dx_stride, float* sums) {
  const int F = grid.features;
  for (int l = 0; l < grid.levels; l++) {
    const uint32_t* at = entries + static_cast<size_t>(4 * l) * capacity;
    const float* share = weights + static_cast<size_t>(4 * l) * capacity;
    for (int r = 0; r < rows; r++) {
      const float* from = dx + r * dx_stride + l * F;
      for (int c = 0; c < 4; c++) {
        float* into = sums + static_cast<size_t>(at[c * capacity + r]) * F;
        if (F == 2)
          *reinterpret_cast<Pair*>(into) += *reinterpret_cast<const Pair*>(from) * share[c * capacity + r];
        else
          for (int f = 0; f < F; f++) into[f] += from[f] * share[c * capacity + r];
      }
    }
  }
}

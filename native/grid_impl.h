// Look-ups in a level of a grid of trainable entries, and the way back. Included by kernels_impl.h (see kernels.h).
//
// A level at a time over all of a thread's points in a minibatch: 128 KB of table (by default) are then read many
// times while they lie in the cache. Corners and weights are computed a vector of points at a time, for the way back
// once more rather than kept. With two features (the default) two corners side by side are one load of 16 bytes.

typedef float Pair __attribute__((vector_size(8), may_alias));
typedef float Quad __attribute__((vector_size(16), may_alias, aligned(8)));
constexpr uint32_t kPrime = 2654435761u;  // Mueller et al. 2022, equation 4
constexpr int kPoints = 256;

struct alignas(64) Corners {  // of up to kPoints points
  uint32_t entry[4][kPoints];  // left and right above, left and right below; only the first where not hashed
  float u[kPoints], v[kPoints];  // place within the cell, from the first corner
};

INLINE vf load_any(const float* p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
INLINE vf clamped(vf x, float most) { return x < most ? (x > 0.f ? x : vf{}) : most - vf{}; }

// row: entries between a corner and the one below it. Reads and writes whole vectors.
template <bool kHashed>
INLINE void find_corners(const Level& level, uint32_t row, uint32_t offset, const float* x, const float* y, int points,
                         Corners& corners) {
  const auto put = [&](int corner, int i, vu entry) { *reinterpret_cast<vu*>(corners.entry[corner] + i) = entry; };
  for (int i = 0; i < points; i += LANES) {
    const vf across = load_any(x + i) * level.across, down = load_any(y + i) * level.down;
    // floor of a number that is then clamped to >= 0, so that cutting off the fraction will do
    const vi left = __builtin_convertvector(clamped(across, level.across - 1.f), vi);
    const vi top = __builtin_convertvector(clamped(down, level.down - 1.f), vi);
    store(corners.u + i, across - __builtin_convertvector(left, vf));
    store(corners.v + i, down - __builtin_convertvector(top, vf));
    const vu column = reinterpret_cast<vu>(left);
    if (kHashed) {
      const vu above = reinterpret_cast<vu>(top) * kPrime, below = above + kPrime;
      put(0, i, ((column ^ above) & level.mask) + offset), put(1, i, (((column + 1) ^ above) & level.mask) + offset);
      put(2, i, ((column ^ below) & level.mask) + offset), put(3, i, (((column + 1) ^ below) & level.mask) + offset);
    } else {
      put(0, i, reinterpret_cast<vu>(top) * row + column + offset);
    }
  }
}
INLINE void find_corners(const Level& level, const float* x, const float* y, int points, Corners& corners) {
  if (level.mask) find_corners<true>(level, 0, level.offset, x, y, points, corners);
  else find_corners<false>(level, level.row, level.offset, x, y, points, corners);
}

INLINE size_t entry_of(const Level& level, const Corners& corners, int corner, int i) {
  if (level.mask) return corners.entry[corner][i];
  return corners.entry[0][i] + (corner & 1) + (corner >> 1) * static_cast<size_t>(level.row);
}
INLINE float weight_of(const Corners& corners, int corner, int i) {
  const float u = corners.u[i], v = corners.v[i];
  return (corner & 1 ? u : 1.f - u) * (corner & 2 ? v : 1.f - v);
}
// Weights of a left and a right corner, each twice, for the two features.
INLINE Quad sideways(float u) { return Quad{1, 1, 0, 0} + Quad{-1, -1, 1, 1} * u; }
INLINE Pair half_of(Quad q, bool right) { return right ? Pair{q[2], q[3]} : Pair{q[0], q[1]}; }

void grid_forward(const Level& level, int features, const float* table, const float* x, const float* y, size_t points,
                  float* values) {
  Corners corners;
  for (size_t low = 0; low < points; low += kPoints) {
    const int count = static_cast<int>(points - low < kPoints ? points - low : kPoints);
    find_corners(level, x + low, y + low, count, corners);
    float* into = values + low * features;
    if (features == 2) {
      for (int i = 0; i < count; i++) {
        Quad above, below;
        if (level.mask) {
          const auto entry = [&](int c) { return *reinterpret_cast<const Pair*>(table + 2 * size_t(corners.entry[c][i])); };
          const Pair a = entry(0), b = entry(1), c = entry(2), d = entry(3);
          above = Quad{a[0], a[1], b[0], b[1]}, below = Quad{c[0], c[1], d[0], d[1]};
        } else {
          const float* first = table + 2 * size_t(corners.entry[0][i]);
          above = *reinterpret_cast<const Quad*>(first);
          below = *reinterpret_cast<const Quad*>(first + 2 * size_t(level.row));
        }
        const float v = corners.v[i];
        const Quad sum = (above * (1.f - v) + below * v) * sideways(corners.u[i]);
        *reinterpret_cast<Pair*>(into + 2 * i) = half_of(sum, false) + half_of(sum, true);
      }
      continue;
    }
    for (int i = 0; i < count; i++)
      for (int f = 0; f < features; f++) {
        float sum = 0;
        for (int c = 0; c < 4; c++)
          sum += table[entry_of(level, corners, c, i) * features + f] * weight_of(corners, c, i);
        into[i * features + f] = sum;
      }
  }
}

// Two features, and more points than cells: each cell first collects what its four corners get, as 32 bytes that no
// other cell shares. Sums of neighbouring corners overlap, and a load that overlaps two stores waits for both.
void collect_cells(const Level& level, const float* x, const float* y, size_t points, const float* errors,
                   float* cells, float* sums) {
  const int across = static_cast<int>(level.across), down = static_cast<int>(level.down);
  __builtin_memset(cells, 0, static_cast<size_t>(across) * down * 8 * sizeof(float));
  Corners corners;
  for (size_t low = 0; low < points; low += kPoints) {
    const int count = static_cast<int>(points - low < kPoints ? points - low : kPoints);
    find_corners<false>(level, static_cast<uint32_t>(across), 0, x + low, y + low, count, corners);
    for (int i = 0; i < count; i++) {
      const float* e = errors + 2 * (low + i);
      const Quad error = Quad{e[0], e[1], e[0], e[1]} * sideways(corners.u[i]);
      Quad* cell = reinterpret_cast<Quad*>(cells + 8 * size_t(corners.entry[0][i]));
      cell[0] += error * (1.f - corners.v[i]), cell[1] += error * corners.v[i];
    }
  }
  for (int r = 0; r < down; r++)
    for (int c = 0; c < across; c++) {
      const Quad* cell = reinterpret_cast<const Quad*>(cells + 8 * (static_cast<size_t>(r) * across + c));
      float* first = sums + 2 * (size_t(level.offset) + static_cast<size_t>(r) * level.row + c);
      *reinterpret_cast<Quad*>(first) += cell[0];
      *reinterpret_cast<Quad*>(first + 2 * size_t(level.row)) += cell[1];
    }
}

void grid_backward(const Level& level, int features, const float* x, const float* y, size_t points,
                   const float* errors, float* cells, float* sums) {
  if (features == 2 && !level.mask && level.across * level.down <= static_cast<float>(points))
    return collect_cells(level, x, y, points, errors, cells, sums);
  Corners corners;
  for (size_t low = 0; low < points; low += kPoints) {
    const int count = static_cast<int>(points - low < kPoints ? points - low : kPoints);
    find_corners(level, x + low, y + low, count, corners);
    const float* from = errors + low * features;
    for (int i = 0; i < count; i++) {
      if (features == 2) {
        const float* e = from + 2 * i;
        const Quad error = Quad{e[0], e[1], e[0], e[1]} * sideways(corners.u[i]);
        const Quad above = error * (1.f - corners.v[i]), below = error * corners.v[i];
        if (level.mask) {
          const auto add = [&](int c, Pair part) { *reinterpret_cast<Pair*>(sums + 2 * size_t(corners.entry[c][i])) += part; };
          add(0, half_of(above, false)), add(1, half_of(above, true));
          add(2, half_of(below, false)), add(3, half_of(below, true));
        } else {
          float* first = sums + 2 * size_t(corners.entry[0][i]);
          *reinterpret_cast<Quad*>(first) += above;
          *reinterpret_cast<Quad*>(first + 2 * size_t(level.row)) += below;
        }
        continue;
      }
      for (int c = 0; c < 4; c++) {
        float* into = sums + entry_of(level, corners, c, i) * features;
        for (int f = 0; f < features; f++) into[f] += from[i * features + f] * weight_of(corners, c, i);
      }
    }
  }
}

// What every instruction set must be able to do, as one table of plain functions.
//
// Each kernels_<isa>.cc compiles kernels_impl.h with flags of its own and exports one table. Nothing but plain
// data crosses this border: a shared inline function or template instantiated in a unit compiled for AVX-512
// may be the copy the linker keeps for all, and then crashes an older machine.
//
// Common to all: matrices are row-major float32, 64-byte aligned, with a row stride (in floats) that is a
// multiple of 16, so every vector load is aligned; rows come in multiples of kRows. Padding may be read and
// written, never relied upon, except where said.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sfumato {

constexpr int kRows = 8;         // rows are padded to this: the height of the largest register block
constexpr int kLine = 16;        // floats in a cache line, and in the widest vector
constexpr int kActivations = 12;  // entries of enum Activation

enum class Activation : int { identity, relu, leaky_relu, sine, finer, gaussian, tanh, sigmoid, silu, gelu, lwta, prelu };

// Floats between rows of `width` values: whole cache lines, an odd number of them, so that the rows of a column
// spread over all sets of the caches (a width of 256 or 512 would otherwise use an eighth of them or less).
// Not used in the kernels' own units, so that it is compiled for every machine.
constexpr size_t padded(int width) {
  const size_t lines = (static_cast<size_t>(width) + kLine - 1) / kLine;
  return kLine * (lines | 1);
}

// Halves between packed rows of `width` bfloat16: whole cache lines, which a tile of AMX is loaded by, and not a
// multiple of eight of them, which would crowd a column's rows into an eighth of the caches' sets.
constexpr size_t padded_halves(int width) {
  const size_t lines = (static_cast<size_t>(width) + 2 * kLine - 1) / (2 * kLine);
  return 2 * kLine * (lines % 8 ? lines : lines + 1);
}

// Called on each finished block of a product while it is still in L1.
//   values: rows x columns (columns a multiple of the vector).
//   slopes: same shape; written (forward, float32) or read (backward: float32, or bfloat16 where kernels say so);
//           may be null where unused.
// Strides are those of rows, in elements of the array.
using Finish = void (*)(float* values, size_t stride, void* slopes, size_t slopes_stride, int rows, int columns,
                        float parameter);

// C[m][n] = start + sum over k < depth of a(m, k) * B[k][n], with a(m, k) = a[m * a_row + k * a_step].
// Forward: a = activations, B = W. Errors: a = errors, B = W transposed. Gradients: a = activations read
// down their columns (a_row = 1), B = errors. So every product is a broadcast scalar times a row of vectors.
//
// `multiply` takes float32. `multiply_half` takes words of two bfloat16 in place of floats, neighbours along k: the
// depth counts words, and each step adds two products to sums in float32. Hence two packed forms of a matrix:
//   rows16  rows of bfloat16: a word holds columns 2k and 2k + 1, to be broadcast (as a, forward and errors)
//   pairs   rows of words: word [p][n] holds rows 2p and 2p + 1 of column n, to be a vector of b (or, read down
//           its columns, an a), wherever k runs along the rows
// Kernels that say `pairs_from_rows` take rows16 for a and b alike in products with samples_down, and make what they
// need of them: there k runs down the rows of both, and depth, a_step and b_row count as for pairs.
struct Product {
  int rows, columns, depth;
  const float* a;
  size_t a_row, a_step;
  const float* b;
  size_t b_row;
  bool samples_down;  // a and b are rows16 of samples; see above
  float* c;           // null: the result is only wanted packed
  size_t c_row;
  const float* bias;  // where sums start, a row; null: at zero (or at C if accumulate)
  bool accumulate;    // start from what C holds
  Finish finish;      // may be null
  float* slopes;            // what finish gets beside C: these,
  const uint16_t* slopes16; // or these (backward16), or nothing
  size_t slopes_row;
  float parameter;    // of finish
  // PReLU, in place of finish: a slope for each column. `slopes` holds what of z lies below 0, written (forward) or read
  // (backward: `learned_sums` is not null, and the slopes' gradient is added to it). Null: none.
  const float* learned;
  float* learned_sums;
  const uint8_t* keep;  // dropout: rows of bytes, `keep_row` apart; values with a 0 become 0, others are divided
  size_t keep_row;      // by `kept`, the share that is kept; after finish, before packing. Null: none
  float kept;           // without `keep`: 0, or all are divided by it
  float* sums;        // the finished C's columns are added to it, a row; may be null
  uint16_t* rows16;   // where the finished C is packed, rows `rows16_row` halves apart; may be null
  size_t rows16_row;
  uint32_t* pairs;    // and rows of words `pairs_row` apart; may be null
  size_t pairs_row;
  uint32_t* fired;    // the bits of the finished C's columns are OR-ed into it, a row; may be null
  // Not all k, but those of a list (ascending) for each `list_rows` rows of C, `list_row` apart. Null: all.
  const int32_t* lists;
  const int32_t* lengths;
  size_t list_row;
  const int32_t* b_rows;  // the row of B that belongs to k; null: row k
  int b_floats;  // multiply_half: if not 0, b is float32, this many rows, and paired on its way
};

// Columns of a matrix that are worth looking at, ascending.
struct Columns {
  int count;
  const int32_t* index;
  const uint8_t* masks;  // the same, a bit a column; both null: the first `count`
};

// One step of Adam or SGD, as PyTorch defines them, over a span of floats.
struct Update {
  float shrink;   // Adam: weights are multiplied by it first (decoupled decay); 1 = none
  float rate;     // of this step and matrix; Adam: divided by 1 - beta1^t
  float scale;    // the gradient is multiplied by it first (clipping); 1 = none
  float first;    // Adam: beta1; SGD: momentum
  float second;   // Adam: beta2
  float first_rest, second_rest;  // 1 - beta1, 1 - beta2 rounded from double: 1.f - 0.999f is off by 5e-5 of itself
  float root;     // Adam: 1 / sqrt(1 - beta2^t)
  float epsilon;  // Adam: added to the root of the corrected second moment
};

// A pyramid of grids of trainable entries, looked up bilinearly (encodings.Grid is the specification). Level l has
// across x down cells; its corners have entries of their own, or share `mask + 1` of them by a hash.
struct Level {
  float across, down;
  uint32_t row;     // corners in a row, across + 1
  uint32_t mask;    // hashed: entries - 1 (a power of two minus 1); 0: not hashed
  uint32_t offset;  // of its first entry in the table
};

// A block of a fastfood layer, see fastfood.h: as many rows as diagonals are long, of which the first `units` are wanted.
struct FastfoodBlock {
  int inputs, units, n;
  float scale;  // of the transform, 1 / sqrt(n)
  const float *scales, *gaussians, *signs;
  const int32_t* order;
};

struct Kernels {
  const char* name;
  int lanes;  // floats in a vector
  // `rounds` of fused multiply-adds that wait for nothing and never leave registers; returns their FLOP.
  double (*burn)(int rounds);

  void (*multiply)(const Product&);
  void (*multiply_half)(const Product&);
  bool half_is_fast;     // the processor multiplies bfloat16 itself; elsewhere it is emulated, for tests
  bool pairs_from_rows;  // see Product
  int near_floats;       // size of the values of a chunk of rows that suits the caches
  // rows x columns floats into packed forms (either may be null); rows need not be even: the last partner is 0
  void (*pack)(const float* from, size_t stride, int rows, int columns, uint16_t* rows16, size_t rows16_row,
               uint32_t* pairs, size_t pairs_row);
  int list_rows;  // see Product: lists
  // Which columns of `fired` hold a bit: their count, index and masks (whose room is that of `columns`, a multiple of
  // kLine, and for index a line more).
  int (*find_columns)(const uint32_t* fired, int columns, int32_t* index, uint8_t* masks);
  // Those columns side by side, with a line of zeros after the last. Row r of the result is row from_rows[r] (null: r).
  void (*take_columns)(const float* from, size_t stride, const int32_t* from_rows, int rows, const Columns&,
                       float* into, size_t into_row);
  // And back: row r of `from` is added to row into_rows[r] (null: r) of `into`.
  void (*add_columns)(const float* from, size_t stride, int rows, const Columns&, const int32_t* into_rows, float* into,
                      size_t into_row);
  // For each list_rows rows: which columns are not 0 in one of them. Room for a line more than `columns` in a list.
  void (*list_columns)(const float* from, size_t stride, int rows, int columns, int32_t* lists, size_t list_row,
                       int32_t* lengths);
  // dropout on its own; see Product
  void (*drop)(float* values, size_t stride, const uint8_t* keep, size_t keep_row, int rows, int columns, float kept);
  // Forward: z -> activation(z), slopes = d activation / dz where wanted; `forward` leaves slopes alone.
  Finish forward[kActivations];
  Finish forward_with_slope[kActivations];
  // PReLU has none of these, see Product.
  // Backward: values *= slope. Identity, ReLU and leaky ReLU read the slope off the sign of what they put out, LWTA off
  // its bits, so they need no slopes of their own: give them the activations, float32 or (backward16) bfloat16.
  Finish backward[kActivations];
  Finish backward16[kActivations];

  // sums[n] (+)= sum over rows of a[m][n]
  void (*column_sums)(const float* a, size_t stride, int rows, int columns, float* sums, bool accumulate);
  // into[i] += from[i]
  void (*add)(float* into, const float* from, size_t count);
  // into[i] = a x[i] + b y[i]; into may be x or y. b = 0 leaves y out, whatever it holds.
  void (*blend)(float* into, const float* x, float a, const float* y, float b, size_t count);
  double (*square_sum)(const float* values, size_t count);
  void (*adam)(float* w, float* m, float* v, const float* g, size_t count, const Update&);
  void (*sgd)(float* w, float* buffer, const float* g, size_t count, const Update&);  // buffer null: no momentum
  // into[c][r] = from[r][c]
  void (*transpose)(const float* from, size_t from_row, int rows, int columns, float* into, size_t into_row);
  // Each row of n = 2^k floats times `scale` times Sylvester's matrix; see hadamard.h. `into` may be `from`.
  void (*hadamard)(const float* from, float* into, size_t rows, size_t n, float scale);
  // A row x of `inputs` through a block: y, of `units`. Scratch of 2 n floats.
  void (*fastfood_forward)(const FastfoodBlock&, const float* x, float* scratch, float* y);
  // And back: what d loss / d y makes of x and of the diagonals is added to dx and sums (3, n). Scratch of 4 n floats.
  void (*fastfood_backward)(const FastfoodBlock&, const float* x, const float* dy, float* scratch, float* dx,
                            float* sums);

  // A level's weighted sums `values` (points, features) at the points (x, y), which are read up to a whole vector past
  // the last. Backward: each corner's entry of `sums` gets its share of the errors, in the order of the points;
  // `cells` is scratch of 8 floats a cell, used by levels of at most as many cells as there are points.
  void (*grid_forward)(const Level&, int features, const float* table, const float* x, const float* y, size_t points,
                       float* values);
  void (*grid_backward)(const Level&, int features, const float* x, const float* y, size_t points,
                        const float* errors, float* cells, float* sums);

  // One sample at a time (the 2012 algorithm). z[n] = bias[n] + sum over k of x[k] W[k][n]; rows with x[k] = 0
  // are skipped, which halves the work of ReLU nets and changes nothing.
  void (*row_forward)(const float* x, int depth, const float* w, size_t stride, int columns, const float* bias,
                      float* z);
  // dx[k] = dot(W[k], dz), then W[k] -= rate * x[k] * dz, in one pass over W. dx null: not wanted.
  // skip: rows with x[k] = 0 are left alone and get dx[k] = 0 (right for ReLU, whose slope there is 0).
  void (*row_backward)(const float* x, int depth, float* w, size_t stride, int columns, const float* dz,
                       float rate, float* dx, bool skip);
};

extern const Kernels kPlain;
extern const Kernels kAmxEmulated;
#if SFUMATO_X86
extern const Kernels kAvx2;
extern const Kernels kAvx512;
extern const Kernels kAvx512Bf16;
extern const Kernels kAmx;
#endif

}  // namespace sfumato

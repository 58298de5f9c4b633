// Training of a multi-layer perceptron, minibatch by minibatch, without leaving C++ between steps.
//
// A minibatch is cut into chunks of rows; chunk c belongs to thread c mod T (a fixed deal), which takes it through
// the whole forward and backward pass inside its own caches and adds to a gradient of its own. After a barrier
// each thread sums the gradients for its share of the parameters, in the order of the threads, and applies the
// optimizer there. So results are bit-equal from run to run for one instruction set and number of threads.
//
// Weights are kept transposed, [in][out], as the forward product reads them, and once more as [out][in] for
// the backward product. All methods may be called from any thread, one at a time (a lock sees to it). A method that
// throws has changed nothing.
#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "memory.h"
#include "muon.h"
#include "pool.h"
#include "settings.h"

namespace sfumato {

constexpr int kBlockRows = 16;  // rows of weights updated and transposed together

inline int round_up(int n, int to) { return (n + to - 1) / to * to; }
// Packed forms live in buffers of floats.
inline uint16_t* halves(const Buffer& b) { return reinterpret_cast<uint16_t*>(b.get()); }
inline uint32_t* words(const Buffer& b) { return reinterpret_cast<uint32_t*>(b.get()); }
// Whether the backward pass needs slopes of its own: those of the others are read off the activations.
inline bool has_slopes(Activation a) {
  return a != Activation::identity && a != Activation::relu && a != Activation::leaky_relu && a != Activation::lwta;
}

constexpr int kNotMuon = -1;

// One linear map. Arrays of parameters hold the bias in row 0 and row i of the weights in row 1 + i.
struct Matrix {
  int in, out;
  bool has_bias;
  float factor;        // of the learning rate
  size_t stride;       // of rows of `out` floats
  size_t back_stride;  // of rows of `in` floats
  Buffer values, first, second;  // parameters and moments (absent where never needed)
  Buffer back;         // by which errors go back: weights as [out][in]; paired: pairs of them, [out / 2][in]; may be absent
  bool fixed;          // `back` is no copy of the weights but never changes
  bool half;           // products take bfloat16
  bool paired;         // half, and the copies of weights are kept as pairs; else products pair them on their way
  Buffer pairs;        // paired: weights as pairs [in / 2][out]
  int muon;            // its number there; kNotMuon: none, Adam or SGD

  float* bias() const { return values.get(); }
  float* weights() const { return values.get() + stride; }
  size_t count() const { return static_cast<size_t>(in + 1) * stride; }
};

// The entries of a grid, or the slopes of all layers of PReLU, each from a whole cache line on.
struct Table {
  size_t entries = 0, count = 0;  // count: floats, rounded up to whole cache lines
  Buffer values, first, second;
};

// Parameters, moments or gradients in PyTorch's order and layout: W0 (out, in), b0 (out), W1, ..., [skip],
// [table of the grid (entries, features)], [slopes of each hidden layer (PReLU)].
using Arrays = std::vector<float*>;
using ConstArrays = std::vector<const float*>;

// Multiplications of products between hidden layers and with the readout: those done, and those of all units.
struct Work {
  double done = 0, all = 0;
};

enum class Kind { values, first, second };

class Trainer {
 public:
  // Throws std::invalid_argument; std::bad_alloc and std::system_error where memory or threads are lacking.
  explicit Trainer(const Settings& settings);

  const Settings& settings() const { return settings_; }
  const char* isa() const { return kernels_.name; }
  bool half_is_fast() const { return kernels_.half_is_fast; }
  int threads() const { return pool_.size(); }
  int chunk() const { return chunk_; }
  Work work();  // since the trainer was made
  std::vector<size_t> array_sizes() const;  // floats in each array of parameters
  std::vector<std::pair<int, int>> array_shapes() const;  // (out, in), or (out, 0) for a bias

  void set(Kind kind, const ConstArrays& from);
  void get(Kind kind, const Arrays& into);
  // With settings.feedback: a matrix (out, in) for each hidden layer behind the first and for the readout, by which errors
  // go back in place of the weights. Until then these are 0.
  void set_feedback(const ConstArrays& from);
  int64_t updates() const { return updates_; }  // steps so far, which Adam's correction depends on
  void set_updates(int64_t count) { updates_ = count; }

  void set_data(const float* features, const float* targets, size_t samples);
  size_t samples() const { return samples_; }
  int features() const { return raw_inputs(); }  // columns of the data: 2 with a grid, else inputs

  // A step for each of `sizes`: minibatch s is the next sizes[s] entries of `order`, trained at rates[s]; losses[s] is
  // its loss before the update. Throws std::invalid_argument for lengths that differ, std::out_of_range for a row
  // outside the data.
  // seeds: of each step's dropout, a number of PyTorch's CPU generator; empty where there is none.
  // each: the loss of each entry of `order` alone, before its step's update; empty where nobody asks.
  void advance(std::span<const int32_t> order, std::span<const int32_t> sizes, std::span<const double> rates,
               std::span<float> losses, std::span<const uint32_t> seeds = {}, std::span<float> each = {});
  float gradient(const int32_t* rows, size_t count, const Arrays& into);
  // For losses of the caller's own: from d loss / d outputs (samples, outputs) to the gradients of all parameters
  // and, if `inputs` is not null (samples, inputs), of the features. The forward pass is done again, a chunk at a
  // time, so nothing needs to be kept between.
  void pullback(const float* features, const float* errors, size_t samples, const Arrays& into, float* inputs);
  void predict(const float* features, size_t samples, float* outputs);
  // Values of hidden layer `layer` after (or before: `pre`) its activation: (samples, width).
  void activations(int layer, bool pre, const float* features, size_t samples, float* into);

 private:
  static constexpr int kTable = -1, kSlopes = -2;
  // Units of a hidden layer that fire anywhere in the chunk at hand. Unless that is nearly all of them, the layer's
  // activations and errors hold their columns only, side by side; see silence.cc.
  struct Live {
    bool all = true;
    int count = 0;
    std::vector<int32_t> index, lists, lengths;  // lists: for each kernels_.list_rows rows those that fire there
    std::vector<uint8_t> masks;
    Columns columns() const { return {count, index.data(), masks.data()}; }
  };
  struct alignas(128) Worker {  // a thread's own memory: one chunk's values, and a gradient
    Buffer x, out;
    std::vector<Buffer> post, slopes;
    std::vector<Buffer> in16, in_pairs;      // packed inputs of half matrices, one each; pairs if kernels want them
    Buffer error16[2], error_pairs[2];       // packed errors, of the layer at hand and of the one before
    Buffer weights16;                        // 16 rows of weights on their way into `back`
    Buffer errors[2];
    std::vector<Buffer> gradients;  // one a matrix, laid out as its parameters
    Buffer dx, table, learned;  // errors of x; gradients of the grid's table and of PReLU's slopes
    // grid: points at hand, and what each level says of them [level][point][feature], replaced by its errors
    std::vector<float> xs, ys, looked_up, cells;
    size_t points = 0;
    std::vector<float> target;
    std::vector<Live> live;   // one a hidden layer
    Buffer fired, other;      // bits of a layer's columns; where columns are put together, exchanged with `post`
    Buffer taken, products, sums;  // weights, gradients of some rows of weights, and of biases, of live units only
    Work work;
    double loss = 0, squares = 0;
  };
  // Samples whose gradient is wanted: those of `features` named by `rows`, or its first `count`.
  struct Minibatch {
    const float* features;
    const int32_t* rows;
    size_t count;
    const float* errors;  // of the outputs; null: those of the loss against the targets
    float *each, *inputs;  // the loss of each sample, and errors of the features; null where nobody asks
  };
  // A unit of the optimizer's work: weight rows [low, high) of a matrix, and its bias if low is 0; or, in units of
  // a cache line, part of the grid's table (matrix = kTable) or of PReLU's slopes (kSlopes).
  struct Block {
    int matrix, low, high;
  };
  struct Span {  // the same as arrays; the first `biases` floats are biases
    float *values, *first, *second;
    size_t offset, count, biases;
    float factor;
  };

  auto product(const Matrix& m) const { return m.half ? kernels_.multiply_half : kernels_.multiply; }
  int layers() const { return static_cast<int>(settings_.hidden.size()); }
  int columns(int width) const { return (width + kernels_.lanes - 1) / kernels_.lanes * kernels_.lanes; }
  bool wants_dx() const { return has_grid() || settings_.input_gradient; }
  bool has_grid() const { return !settings_.grid.levels.empty(); }
  bool learns_slopes() const { return settings_.activation == Activation::prelu; }
  int raw_inputs() const { return has_grid() ? 2 : settings_.inputs; }
  void build_grid();
  Table table_of(size_t count) const;
  void deal_blocks();
  Span span(const Block&);
  float* gradient_of(Worker& w, const Block& b) {
    return b.matrix == kTable ? w.table.get() : b.matrix == kSlopes ? w.learned.get() : w.gradients[b.matrix].get();
  }
  void run_forward(int layer, bool pre, const float* features, size_t samples, float* into);
  void load(Worker&, const float* features, const int32_t* rows, size_t base, int count, int padded, size_t at = 0) const;
  // grid: points to be looked up, the look-ups, errors of the chunk that starts at point `at`, gradient of the table
  void add_points(Worker&, const float* features, const int32_t* rows, size_t base, size_t count) const;
  void look_up(Worker&) const;
  void keep_errors(Worker&, int count, size_t at) const;
  void table_gradient(Worker&, bool first);
  // low: the chunk's first row within the minibatch
  void forward(Worker&, int rows, int last, bool last_pre, bool slopes, size_t low = 0) const;
  double errors(Worker&, const int32_t* rows, int count, int padded, size_t minibatch, float* each) const;
  void backward(Worker&, int rows, bool first, size_t low = 0) const;
  void input_gradient(Worker&, int rows, const float* error, size_t error_stride, size_t low) const;
  // silence.cc
  bool skips_silence() const;
  void prepare_silence(Worker&) const;
  void read_live(const Live&, const Matrix&, Product&) const;
  void find_live(Worker&, int layer, int rows) const;
  void backward_live(Worker&, int rows, bool first, size_t low) const;
  void weights_live(Worker&, int matrix, int rows, const float* error, size_t error_stride) const;
  void count_work(Worker&, const Matrix&, const Product&, double dense) const;
  void pack_errors(Worker&, int matrix, const float* error, size_t error_stride, int rows) const;
  void copy_gradient(const Arrays& into) const;
  bool drops() const { return settings_.dropped_inputs > 0 || settings_.dropped_hidden > 0; }
  void make_room(size_t count, bool drop = false);
  void draw_dropout(uint32_t seed, size_t count);
  const uint8_t* kept(int layer, size_t row) const;  // layer -1: the inputs; null: nothing is dropped there
  int chunks_of(size_t count, int& rows) const;
  void check_rows(const int32_t* rows, size_t count) const;  // throws std::out_of_range
  void minibatch_gradient(int t, const Minibatch&);
  void sum_gradients(int t, int active);
  void update(int t, int64_t step, double rate, float scale);
  bool is_muon(const Block& b) const { return b.matrix >= 0 && matrices_[b.matrix].muon != kNotMuon; }
  void muon_momentum(int t, const Block&, const float* gradient, float* buffer, float scale);
  static constexpr int kParts = 2;
  struct Range {
    int low, high;
  };
  struct Half {  // a part of a matrix: bias in row 0, then rows of weights
    float* values;
    size_t stride;
    float* bias() const { return values; }
    float* weights() const { return values + stride; }
  };
  Range part(int width, int p) const;
  void prepare_halves();
  void copy_half(int p, bool back);
  struct SamplePace {  // see sample_steps
    double seconds[2] = {0, 0};  // a sample, alone and together
    size_t slice = 0, until_trial = 0, interval = 0;
    bool together = false, trial = false;
  };
  template <class Meet>
  void sample_step(Worker& own, int low_part, int high_part, const Meet& meet, const int32_t* row, double rate);
  void sample_steps(int t, const int32_t* rows, const double* rates, size_t count, float* losses);
  void refresh(Worker&, const Block&) const;  // the copies of weights that products read
  void lay_out(Worker&, const Matrix&, const float* from, int rows, float* back, uint32_t* pairs) const;
  void refresh_all(int t);
  bool is_sample_step(int32_t size) const;

  Settings settings_;
  const Kernels& kernels_;
  std::vector<Matrix> matrices_;  // hidden layers, readout, skip
  std::vector<size_t> strides_;   // of the values of each hidden layer
  size_t x_stride_, out_stride_;
  std::vector<Level> levels_;
  Table table_, slopes_;
  std::vector<size_t> slopes_at_;  // where each hidden layer's begin
  bool skipping_;  // silent units are skipped
  int chunk_, small_chunk_;  // rows of a chunk, of large minibatches and of small ones
  std::vector<Worker> workers_;
  std::vector<std::vector<Block>> blocks_;  // a list a thread
  std::vector<float> features_, targets_;
  std::vector<std::vector<uint8_t>> keep_;  // of the minibatch at hand: inputs, then hidden layers; rows padded
  bool dropping_ = false;                   // whether this pass drops: training does, all else does not
  std::atomic<size_t> samples_{0};   // these two are read without the lock
  std::atomic<int64_t> updates_{0};
  Mutex lock_;
  Buffer part_sums_[kParts], part_errors_[2][kParts], zeros_;  // one sample a step
  std::vector<Half> halves_[kParts];
  Buffer half_memory_[kParts];
  Barrier parts_barrier_{kParts};
  SamplePace sample_pace_;
  Pool pool_;
  Muon muon_;
};

}  // namespace sfumato

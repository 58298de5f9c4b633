// The Python module sfumato._native: the only file that sees Python. Arguments are checked here, so that the rest
// may trust them; arrays are borrowed, never converted; the interpreter lock is released while the engine works.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "cpu.h"
#include "fastfood.h"
#include "hadamard.h"
#include "trainer.h"

namespace nb = nanobind;
using namespace nb::literals;

// A span is an array of one dimension, borrowed while the call lasts; None, where it is allowed, is an empty one.
template <class T>
struct nb::detail::type_caster<std::span<T>> {
  using Array = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
  NB_TYPE_CASTER(std::span<T>, make_caster<Array>::Name)

  bool from_python(handle source, uint32_t flags, cleanup_list* cleanup) noexcept {
    if (!array_.from_python(source, flags, cleanup)) return false;
    if (array_.value.is_valid()) value = {array_.value.data(), array_.value.size()};
    return true;
  }

 private:
  make_caster<Array> array_;
};

namespace {

using sfumato::Kind, sfumato::Settings, sfumato::Trainer;
using In1 = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using In2 = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using InAny = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Orders = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<nb::numpy, float, nb::c_contig>;

// The interpreter lock, released while the engine works. A thread that comes back when the interpreter has ended (a
// daemon's) is ended by Python in a way that unwinds C++ and would call std::terminate: it waits for the exit instead.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

[[noreturn]] void refuse(const std::string& what) { throw nb::value_error(what.c_str()); }

void check_finite(const float* values, size_t count, const char* what) {
  for (size_t i = 0; i < count; i++)
    if (!std::isfinite(values[i])) refuse(std::string(what) + " hold a value that is not finite, at " + std::to_string(i));
}

// A new array and where its values go.
template <size_t N>
std::pair<Out, float*> fresh(const std::array<size_t, N>& shape) {
  size_t count = 1;
  for (size_t n : shape) count *= n;
  auto values = std::make_unique<float[]>(std::max<size_t>(count, 1));
  float* const data = values.get();
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<float*>(p); });
  values.release();
  return {Out(data, N, shape.data(), owner), data};
}

using OutList = nb::typed<nb::list, Out>;

void set_arrays(Trainer& self, Kind kind, const std::vector<InAny>& arrays) {
  const auto shapes = self.array_shapes();
  if (arrays.size() != shapes.size())
    refuse("expected " + std::to_string(shapes.size()) + " arrays, got " + std::to_string(arrays.size()));
  sfumato::ConstArrays from;
  for (size_t i = 0; i < arrays.size(); i++) {
    const auto [out, in] = shapes[i];
    const bool fits = in ? arrays[i].ndim() == 2 && arrays[i].shape(0) == size_t(out) && arrays[i].shape(1) == size_t(in)
                         : arrays[i].ndim() == 1 && arrays[i].shape(0) == size_t(out);
    if (!fits)
      refuse("array " + std::to_string(i) + " must have the shape (" + std::to_string(out) +
             (in ? ", " + std::to_string(in) : ",") + ")");
    check_finite(arrays[i].data(), arrays[i].size(), "parameters");
    from.push_back(arrays[i].data());
  }
  const Unlocked unlocked;
  self.set(kind, from);
}

OutList new_arrays(const Trainer& self, sfumato::Arrays& into) {
  OutList arrays;
  const auto add = [&](const auto& shape) {
    auto [array, data] = fresh(shape);
    arrays.append(array);
    into.push_back(data);
  };
  for (const auto& [out, in] : self.array_shapes()) {
    if (in) add(std::array{size_t(out), size_t(in)});
    else add(std::array{size_t(out)});
  }
  return arrays;
}

OutList get_arrays(Trainer& self, Kind kind) {
  sfumato::Arrays into;
  OutList arrays = new_arrays(self, into);
  const Unlocked unlocked;
  self.get(kind, into);
  return arrays;
}

void set_feedback(Trainer& self, const std::vector<In2>& arrays) {
  if (!self.settings().feedback) refuse("fixed matrices need settings.feedback");
  const auto& hidden = self.settings().hidden;
  if (arrays.size() != hidden.size()) refuse("expected " + std::to_string(hidden.size()) + " matrices");
  sfumato::ConstArrays from;
  for (size_t l = 0; l < hidden.size(); l++) {
    const int out = l + 1 < hidden.size() ? hidden[l + 1] : self.settings().outputs;
    if (arrays[l].shape(0) != size_t(out) || arrays[l].shape(1) != size_t(hidden[l]))
      refuse("matrix " + std::to_string(l) + " must have the shape (" + std::to_string(out) + ", " +
             std::to_string(hidden[l]) + ")");
    check_finite(arrays[l].data(), arrays[l].size(), "fixed matrices");
    from.push_back(arrays[l].data());
  }
  const Unlocked unlocked;
  self.set_feedback(from);
}

void set_data(Trainer& self, const In2& features, const In2& targets) {
  if (features.shape(1) != size_t(self.features()) || targets.shape(1) != size_t(self.settings().outputs))
    refuse("features must be (N, " + std::to_string(self.features()) + ") and targets (N, " +
           std::to_string(self.settings().outputs) + ")");
  if (features.shape(0) != targets.shape(0) || !features.shape(0)) refuse("features and targets differ in length");
  if (features.shape(0) > size_t(INT32_MAX)) refuse("at most 2^31 - 1 samples");
  check_finite(features.data(), features.size(), "features");
  check_finite(targets.data(), targets.size(), "targets");
  const Unlocked unlocked;
  self.set_data(features.data(), targets.data(), features.shape(0));
}

nb::typed<nb::tuple, float, OutList> gradient(Trainer& self, const Ints& rows) {
  if (!rows.size()) refuse("rows is empty");
  sfumato::Arrays into;
  OutList arrays = new_arrays(self, into);
  float loss = 0;
  {
    const Unlocked unlocked;
    loss = self.gradient(rows.data(), rows.size(), into);
  }
  return nb::make_tuple(loss, arrays);
}

void check_features(const Trainer& self, const In2& features) {
  if (features.shape(1) != size_t(self.features()))
    refuse("features must be (N, " + std::to_string(self.features()) + ")");
  check_finite(features.data(), features.size(), "features");
}

nb::typed<nb::tuple, OutList, std::optional<Out>> pullback(Trainer& self, const In2& features, const In2& errors,
                                                           bool inputs) {
  check_features(self, features);
  if (errors.shape(0) != features.shape(0) || errors.shape(1) != size_t(self.settings().outputs))
    refuse("errors must be (N, " + std::to_string(self.settings().outputs) + "), a row for each of features");
  if (!features.shape(0)) refuse("features is empty");
  if (inputs && (!self.settings().input_gradient || !self.settings().grid.levels.empty()))
    refuse("the gradient of the inputs needs input_gradient=True, and no grid");
  sfumato::Arrays into;
  OutList arrays = new_arrays(self, into);
  float* dx = nullptr;
  nb::object wanted = nb::none();
  if (inputs) {
    auto [array, data] = fresh(std::array{features.shape(0), features.shape(1)});
    wanted = nb::cast(array), dx = data;
  }
  {
    const Unlocked unlocked;
    self.pullback(features.data(), errors.data(), features.shape(0), into, dx);
  }
  return nb::make_tuple(arrays, wanted);
}

Out predict(Trainer& self, const In2& features) {
  check_features(self, features);
  auto [result, data] = fresh(std::array{features.shape(0), size_t(self.settings().outputs)});
  const Unlocked unlocked;
  self.predict(features.data(), features.shape(0), data);
  return result;
}

Out activations(Trainer& self, int layer, const In2& features, bool pre) {
  const auto& hidden = self.settings().hidden;
  if (layer < 0 || size_t(layer) >= hidden.size())
    throw nb::index_error(("layer " + std::to_string(layer) + " of " + std::to_string(hidden.size())).c_str());
  check_features(self, features);
  auto [result, data] = fresh(std::array{features.shape(0), size_t(hidden[size_t(layer)])});
  const Unlocked unlocked;
  self.activations(layer, pre, features.data(), features.shape(0), data);
  return result;
}

// For tests of the vector functions, which are otherwise only reached through a net.
nb::typed<nb::tuple, Out, Out> evaluate(sfumato::Activation activation, double parameter, const In1& z,
                                        const std::string& isa) {
  if (z.size() > size_t(1) << 30) refuse("at most 2^30 values");
  const auto& kernels = sfumato::pick_kernels(isa);
  const auto which = static_cast<int>(activation);
  const size_t count = z.size(), padded = (count + sfumato::kLine - 1) / sfumato::kLine * sfumato::kLine;
  auto values = sfumato::allocate(padded), slopes = sfumato::allocate(padded);
  std::copy(z.data(), z.data() + count, values.get());
  if (kernels.forward_with_slope[which])
    kernels.forward_with_slope[which](values.get(), padded, slopes.get(), padded, 1, int(padded), float(parameter));
  auto [a, first] = fresh(std::array{count});
  auto [b, second] = fresh(std::array{count});
  std::copy(values.get(), values.get() + count, first);
  std::copy(slopes.get(), slopes.get() + count, second);
  return nb::make_tuple(a, b);
}

void hadamard(const In2& rows, const Rows& into, double scale, int threads, const std::string& isa) {
  const size_t count = rows.shape(0), n = rows.shape(1);
  if (!n || n & (n - 1)) refuse("rows of " + std::to_string(n) + " numbers: a power of two is needed");
  if (into.shape(0) != count || into.shape(1) != n) refuse("rows and into differ in shape");
  const auto from = reinterpret_cast<uintptr_t>(rows.data()), to = reinterpret_cast<uintptr_t>(into.data());
  const uintptr_t apart = from < to ? to - from : from - to;
  if (apart && apart < count * n * sizeof(float)) refuse("rows and into overlap");
  if (threads < 1 || threads > 4096) refuse("threads must lie in 1 ... 4096");
  const auto& kernels = sfumato::pick_kernels(isa);
  const Unlocked unlocked;
  sfumato::hadamard(kernels, rows.data(), into.data(), count, n, float(scale), threads);
}

// A fastfood layer whose permutations are checked and kept here.
struct Fried {
  sfumato::Fastfood layer;
  std::vector<int32_t> order;
};

Fried fried(const In2& x, size_t units, const In2& scales, const In2& gaussians, const In2& signs, const Orders& order,
            int threads) {
  const size_t blocks = order.shape(0), n = order.shape(1), all = order.size();
  if (!n || n & (n - 1)) refuse("blocks of " + std::to_string(n) + " rows: a power of two is needed");
  if (!x.shape(1) || x.shape(1) > n) refuse("x must have 1 to " + std::to_string(n) + " columns");
  if (!units || units > all || all - units >= n) refuse("order must hold the blocks of " + std::to_string(units) + " units");
  if (all > size_t(INT32_MAX)) refuse("at most 2^31 - 1 rows");
  for (const In2* diagonal : {&scales, &gaussians, &signs})
    if (diagonal->shape(0) != blocks || diagonal->shape(1) != n) refuse("diagonals and order differ in shape");
  if (threads < 1 || threads > 4096) refuse("threads must lie in 1 ... 4096");
  Fried result;
  result.order.assign(order.data(), order.data() + all);
  std::vector<bool> taken(all);
  for (size_t i = 0; i < all; i++) {
    const auto from = static_cast<uint64_t>(order.data()[i]);
    if (from >= n || taken[i / n * n + from]) refuse("each row of order must be a permutation");
    taken[i / n * n + from] = true;
  }
  result.layer = {int(x.shape(1)), int(units), int(n), scales.data(), gaussians.data(), signs.data(), result.order.data()};
  return result;
}

Out fastfood(const In2& x, size_t units, const In2& scales, const In2& gaussians, const In2& signs, const Orders& order,
             int threads, const std::string& isa) {
  const Fried one = fried(x, units, scales, gaussians, signs, order, threads);
  const auto& kernels = sfumato::pick_kernels(isa);
  auto [result, data] = fresh(std::array{x.shape(0), units});
  const Unlocked unlocked;
  sfumato::fastfood(kernels, one.layer, x.data(), x.shape(0), data, threads);
  return result;
}

nb::typed<nb::tuple, Out, Out> fastfood_gradient(const In2& x, const In2& errors, const In2& scales, const In2& gaussians,
                                                 const In2& signs, const Orders& order, int threads,
                                                 const std::string& isa) {
  const Fried one = fried(x, errors.shape(1), scales, gaussians, signs, order, threads);
  if (errors.shape(0) != x.shape(0)) refuse("x and errors differ in length");
  const auto& kernels = sfumato::pick_kernels(isa);
  auto [dx, dx_data] = fresh(std::array{x.shape(0), x.shape(1)});
  auto [sums, sums_data] = fresh(std::array{order.shape(0), size_t(3), order.shape(1)});
  {
    const Unlocked unlocked;
    sfumato::fastfood_gradient(kernels, one.layer, x.data(), errors.data(), x.shape(0), dx_data, sums_data, threads);
  }
  return nb::make_tuple(dx, sums);
}

// Lists are copied both ways: assign them whole, `settings.hidden.append(...)` changes nothing.
void bind_settings(nb::module_& m) {
  using sfumato::Activation, sfumato::Loss, sfumato::Method, sfumato::Precision, sfumato::GridSettings;
  nb::enum_<Activation>(m, "Activation")
      .value("identity", Activation::identity)
      .value("relu", Activation::relu)
      .value("leaky_relu", Activation::leaky_relu)
      .value("sine", Activation::sine)
      .value("finer", Activation::finer)
      .value("gaussian", Activation::gaussian)
      .value("tanh", Activation::tanh)
      .value("sigmoid", Activation::sigmoid)
      .value("silu", Activation::silu)
      .value("gelu", Activation::gelu)
      .value("lwta", Activation::lwta)
      .value("prelu", Activation::prelu);
  nb::enum_<Loss>(m, "Loss")
      .value("mse", Loss::mse)
      .value("l1", Loss::l1)
      .value("half_square", Loss::half_square)
      .value("cross_entropy", Loss::cross_entropy);
  nb::enum_<Method>(m, "Method").value("adam", Method::adam).value("sgd", Method::sgd).value("muon", Method::muon);
  nb::enum_<Precision>(m, "Precision",
                       "Of the operands of products. `bfloat16` leaves the first layer's in float32, `bfloat16_all` none.")
      .value("float32", Precision::float32)
      .value("bfloat16", Precision::bfloat16)
      .value("bfloat16_all", Precision::bfloat16_all);
  nb::class_<GridSettings::Size>(m, "GridLevel", "Cells of one level; a hashed one shares entries.")
      .def(nb::init<int, int, bool>(), "across"_a, "down"_a, "hashed"_a)
      .def_rw("across", &GridSettings::Size::across)
      .def_rw("down", &GridSettings::Size::down)
      .def_rw("hashed", &GridSettings::Size::hashed);
  nb::class_<GridSettings>(m, "GridSettings",
                           "A table of entries of `features` floats, looked up bilinearly at points (x, y). The data are\n"
                           "then points (N, 2), and `inputs` is levels * features.")
      .def_rw("levels", &GridSettings::levels, "None: no grid.")
      .def_rw("features", &GridSettings::features)
      .def_rw("log2_table", &GridSettings::log2_table, "Of the entries of a hashed level.");
  nb::class_<Settings>(m, "Settings",
                       "What a trainer is built for. Lists are copied both ways: assign them whole.")
      .def(nb::init<>())
      .def_rw("inputs", &Settings::inputs)
      .def_rw("outputs", &Settings::outputs)
      .def_rw("hidden", &Settings::hidden, "Width of each hidden layer; none: a linear map.")
      .def_rw("grid", &Settings::grid)
      .def_rw("input_gradient", &Settings::input_gradient, "Whether `pullback` can give the gradient of the inputs.")
      .def_rw("feedback", &Settings::feedback, "Errors go back by fixed matrices, see `set_feedback`.")
      .def_rw("skip", &Settings::skip, "Also a linear map without bias from inputs to outputs.")
      .def_rw("activation", &Settings::activation)
      .def_rw("parameter", &Settings::parameter, "Leaky ReLU: slope; sine, FINER: omega; Gaussian: scale; LWTA: units of a block, 2 or 4.")
      .def_rw("loss", &Settings::loss)
      .def_rw("smoothing", &Settings::smoothing, "Of cross-entropy, in [0, 1).")
      .def_rw("method", &Settings::method)
      .def_rw("first", &Settings::first, "Adam's beta1; SGD's momentum.")
      .def_rw("second", &Settings::second, "Adam's beta2.")
      .def_rw("epsilon", &Settings::epsilon)
      .def_rw("momentum", &Settings::momentum, "Of Muon, on matrices between hidden layers.")
      .def_rw("auxiliary", &Settings::auxiliary, "Muon: Adam's rate on all else, as a share of Muon's.")
      .def_rw("muon_steps", &Settings::muon_steps, "Of Newton and Schulz.")
      .def_rw("muon_blocks", &Settings::muon_blocks, "Blocks of units, each made orthogonal by itself.")
      .def_rw("decay", &Settings::decay, "Adam: each step shrinks weights, not biases, by rate * decay.")
      .def_rw("dropped_inputs", &Settings::dropped_inputs, "Share of the inputs, in [0, 1).")
      .def_rw("dropped_hidden", &Settings::dropped_hidden, "Share of the hidden units, in [0, 1).")
      .def_rw("clip", &Settings::clip, "Largest norm of the whole gradient; 0 = no limit.")
      .def_rw("factors", &Settings::factors, "Of the rate, one a matrix (hidden layers, readout, skip); none: all 1.")
      .def_rw("precision", &Settings::precision)
      .def_rw("threads", &Settings::threads)
      .def_rw("chunk", &Settings::chunk, "Rows a thread takes through the net at a time; 0 = by the size of the net.")
      .def_rw("isa", &Settings::isa, "Instruction set; \"\" = SFUMATO_ISA, else the best.");
}

}  // namespace

NB_MODULE(_native, m) {
  // A trainer that still lives when the interpreter ends (in a global, in a generator that nobody finished) is no leak.
  nb::set_leak_warnings(false);
  m.doc() = "Fused minibatch training of multi-layer perceptrons on the CPU.";
  m.attr("sources") = SFUMATO_SOURCES;  // the digest that CMakeLists.txt takes of native/
  m.def("usable_sets", &sfumato::usable_sets, "Instruction sets that can run here, best first.");
  m.def("half_is_fast", [](const std::string& isa) { return sfumato::pick_kernels(isa).half_is_fast; }, "isa"_a = "",
        "Whether the processor multiplies bfloat16 itself, so that bfloat16 pays.");
  m.def("peak", [](const std::string& isa) { return sfumato::peak(sfumato::pick_kernels(isa)); }, "isa"_a = "",
        "FLOP a second that one core's float32 multiply-adds reach at this moment.");
  m.def("evaluate", &evaluate, "activation"_a, "parameter"_a, "z"_a.noconvert(), "isa"_a = "",
        "Values and slopes of an activation at z (n,), by the vector functions of an instruction set. Slopes of\n"
        "relu, leaky_relu and lwta come out as 0: the backward pass reads them off the values.");
  m.def("hadamard", &hadamard, "rows"_a.noconvert(), "into"_a.noconvert(), "scale"_a = 1.0, "threads"_a = 1, "isa"_a = "",
        "into = scale * rows @ H, both (count, n) with n a power of two: the Walsh-Hadamard transform of each row, H being\n"
        "Sylvester's matrix. `into` is `rows` itself or does not overlap it. The bits depend on neither `threads` nor `isa`;\n"
        "denormal numbers count as zero. Raises ValueError for anything else.");
  m.def("fastfood", &fastfood, "x"_a.noconvert(), "units"_a, "scales"_a.noconvert(), "gaussians"_a.noconvert(),
        "signs"_a.noconvert(), "order"_a.noconvert(), "threads"_a = 1, "isa"_a = "",
        "x (N, inputs) through blocks S H G P H B of n = 2^k >= inputs rows: (N, units). scales, gaussians, signs: the\n"
        "diagonals, (blocks, n). order (blocks, n), int64: which number P takes to each place. H is divided by sqrt(n).\n"
        "`threads` changes no bit. Raises ValueError for what does not fit together.");
  m.def("fastfood_gradient", &fastfood_gradient, "x"_a.noconvert(), "errors"_a.noconvert(), "scales"_a.noconvert(),
        "gaussians"_a.noconvert(), "signs"_a.noconvert(), "order"_a.noconvert(), "threads"_a = 1, "isa"_a = "",
        "From d loss / d outputs (N, units): the gradients of x and of scales, gaussians and signs, (blocks, 3, n). `threads`\n"
        "changes no bit.");
  bind_settings(m);
  nb::enum_<Kind>(m, "Kind", "Which of a trainer's arrays: parameters, or a moment of the optimizer.")
      .value("values", Kind::values)
      .value("first", Kind::first)
      .value("second", Kind::second);
  nb::class_<Trainer>(m, "Trainer",
                      "A multi-layer perceptron in training. Arrays are float32, C-contiguous, in PyTorch's order:\n"
                      "W0 (out, in), b0 (out,), W1, ..., readout, skip (out, in), table (entries, features) of the grid,\n"
                      "slopes (units,) of each hidden layer (prelu).")
      .def(nb::init<const Settings&>(), "settings"_a,
           "Settings are copied. Raises ValueError for anything that cannot be meant.")
      .def("set", &set_arrays, "kind"_a, "arrays"_a.noconvert(),
           "Set parameters or moments; moments that do not exist are left out.")
      .def("set_feedback", &set_feedback, "arrays"_a.noconvert(),
           "Matrices (out, in) of the hidden layers behind the first and of the readout, by which errors go back in\n"
           "place of the weights; they never change. Needs `Settings.feedback`; until then they are 0.")
      .def("get", &get_arrays, "kind"_a, "Parameters or moments, copied; moments that do not exist are zeros.")
      .def_prop_rw("updates", &Trainer::updates, &Trainer::set_updates, "Steps so far; Adam's correction needs it.")
      .def("set_data", &set_data, "features"_a.noconvert(), "targets"_a.noconvert(),
           "Copy the training samples: (N, inputs) and (N, outputs).")
      .def("advance", &Trainer::advance, "order"_a.noconvert(), "sizes"_a.noconvert(), "rates"_a.noconvert(),
           "losses"_a.noconvert(), "seeds"_a.noconvert().none() = nb::none(),
           "errors"_a.noconvert().none() = nb::none(), nb::call_guard<Unlocked>(),
           "len(sizes) steps; step s trains on the next sizes[s] rows of `order` (int32) at rates[s] (float64).\n"
           "losses (float32): filled with each minibatch's loss before its update.\n"
           "seeds (uint32): of each step's dropout, as PyTorch's CPU generator takes them. errors (float32): filled with\n"
           "the loss of each row of `order` alone, before its step's update.")
      .def("gradient", &gradient, "rows"_a.noconvert(), "(loss, gradients) of one minibatch; changes nothing.")
      .def("pullback", &pullback, "features"_a.noconvert(), "errors"_a.noconvert(), "inputs"_a = false,
           "(gradients, gradient of the features or None) from d loss / d outputs (N, outputs).")
      .def("predict", &predict, "features"_a.noconvert(), "(N, inputs) -> (N, outputs).")
      .def("activations", &activations, "layer"_a, "features"_a.noconvert(), "pre"_a = false,
           "Hidden layer `layer` after, or before (pre), its activation: (N, width).")
      .def_prop_ro("isa", &Trainer::isa)
      .def_prop_ro("half_is_fast", &Trainer::half_is_fast, "Whether the processor itself multiplies bfloat16.")
      .def_prop_ro("threads", &Trainer::threads)
      .def_prop_ro("chunk", &Trainer::chunk)
      .def_prop_ro("work", [](Trainer& self) {
            const sfumato::Work work = self.work();
            return std::pair(work.done, work.all);
          }, "(done, all): multiplications between hidden layers and into the readout so far, and how many it would\n"
             "have been with every unit. Silent units are skipped, but where SFUMATO_DENSE=1 is set.")
      .def_prop_ro("shapes", &Trainer::array_shapes, "(out, in) of each array, in 0 for a bias.");
}

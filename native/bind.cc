// The Python module sfumato._native: the only file that sees Python. Arguments are checked here, so that the rest
// may trust them; arrays are borrowed, never converted; the interpreter lock is released while the engine works.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <map>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "cpu.h"
#include "trainer.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using sfumato::Trainer;
using In1 = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using In2 = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using InAny = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Ints = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Rates = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Seeds = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<nb::numpy, float, nb::c_contig>;

[[noreturn]] void refuse(const std::string& what) { throw nb::value_error(what.c_str()); }

template <class T>
T pick(const std::map<std::string, T>& known, const std::string& name, const char* what) {
  const auto found = known.find(name);
  if (found != known.end()) return found->second;
  std::string names;
  for (const auto& entry : known) names += (names.empty() ? "" : ", ") + entry.first;
  refuse(std::string(what) + " '" + name + "' is unknown; known are " + names);
}

const std::map<std::string, sfumato::Activation> kActivations = {
    {"identity", sfumato::Activation::identity},     {"relu", sfumato::Activation::relu},
    {"leaky_relu", sfumato::Activation::leaky_relu}, {"sine", sfumato::Activation::sine},
    {"finer", sfumato::Activation::finer},           {"gaussian", sfumato::Activation::gaussian},
    {"tanh", sfumato::Activation::tanh},             {"sigmoid", sfumato::Activation::sigmoid},
    {"silu", sfumato::Activation::silu}};
const std::map<std::string, sfumato::Loss> kLosses = {{"mse", sfumato::Loss::mse},
                                                      {"l1", sfumato::Loss::l1},
                                                      {"half_square", sfumato::Loss::half_square},
                                                      {"cross_entropy", sfumato::Loss::cross_entropy}};
const std::map<std::string, sfumato::Method> kMethods = {{"adam", sfumato::Method::adam},
                                                         {"sgd", sfumato::Method::sgd},
                                                         {"muon", sfumato::Method::muon}};
const std::map<std::string, sfumato::Precision> kPrecisions = {{"float32", sfumato::Precision::float32},
                                                               {"bfloat16", sfumato::Precision::bfloat16},
                                                               {"bfloat16-all", sfumato::Precision::bfloat16_all}};
const std::map<std::string, sfumato::Kind> kKinds = {{"values", sfumato::Kind::values},
                                                     {"first", sfumato::Kind::first},
                                                     {"second", sfumato::Kind::second}};

void check_finite(const float* values, size_t count, const char* what) {
  for (size_t i = 0; i < count; i++)
    if (!std::isfinite(values[i])) refuse(std::string(what) + " hold a value that is not finite, at " + std::to_string(i));
}

Out fresh(std::initializer_list<size_t> shape, float*& data) {
  size_t count = 1;
  for (size_t n : shape) count *= n;
  data = new float[count ? count : 1];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<float*>(p); });
  return Out(data, shape, owner);
}

void build(Trainer* self, int inputs, std::vector<int> hidden, int outputs, const std::string& activation,
           double parameter, const std::string& loss, double smoothing, const std::string& optimizer, double first,
           double second, double eps, double momentum, double auxiliary, int muon_steps, int muon_blocks, double decay, double clip,
           double dropped_inputs, double dropped_hidden, std::vector<double> factors, bool skip, bool input_gradient,
           const std::string& precision, const std::vector<std::tuple<int, int, bool>>& grid, int features,
           int log2_table, int threads, int chunk, std::string isa) {
  sfumato::Settings s;
  s.inputs = inputs, s.hidden = std::move(hidden), s.outputs = outputs;
  s.skip = skip, s.input_gradient = input_gradient;
  s.activation = pick(kActivations, activation, "activation"), s.parameter = static_cast<float>(parameter);
  s.loss = pick(kLosses, loss, "loss"), s.smoothing = static_cast<float>(smoothing);
  s.method = pick(kMethods, optimizer, "optimizer");
  s.first = first, s.second = second, s.epsilon = eps, s.momentum = momentum, s.auxiliary = auxiliary;
  s.muon_steps = muon_steps, s.muon_blocks = muon_blocks;
  s.decay = decay, s.clip = static_cast<float>(clip);
  s.dropped_inputs = static_cast<float>(dropped_inputs), s.dropped_hidden = static_cast<float>(dropped_hidden);
  s.factors.assign(factors.begin(), factors.end());
  for (const auto& [across, down, hashed] : grid) s.grid.levels.push_back({across, down, hashed});
  s.grid.features = features, s.grid.log2_table = log2_table;
  s.precision = pick(kPrecisions, precision, "precision");
  s.threads = threads, s.chunk = chunk, s.isa = std::move(isa);
  new (self) Trainer(s);  // its std::invalid_argument becomes a ValueError
}

void set_arrays(Trainer& self, const std::string& kind, const std::vector<InAny>& arrays) {
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
  const auto which = pick(kKinds, kind, "kind");
  nb::gil_scoped_release release;
  self.set(which, from);
}

nb::list new_arrays(const Trainer& self, sfumato::Arrays& into) {
  nb::list arrays;
  for (const auto& [out, in] : self.array_shapes()) {
    float* data = nullptr;
    if (in) arrays.append(fresh({size_t(out), size_t(in)}, data));
    else arrays.append(fresh({size_t(out)}, data));
    into.push_back(data);
  }
  return arrays;
}

nb::list get_arrays(Trainer& self, const std::string& kind) {
  const auto which = pick(kKinds, kind, "kind");
  sfumato::Arrays into;
  nb::list arrays = new_arrays(self, into);
  nb::gil_scoped_release release;
  self.get(which, into);
  return arrays;
}

void set_data(Trainer& self, const In2& features, const In2& targets) {
  if (features.shape(1) != size_t(self.features()) || targets.shape(1) != size_t(self.settings().outputs))
    refuse("features must be (N, " + std::to_string(self.features()) + ") and targets (N, " +
           std::to_string(self.settings().outputs) + ")");
  if (features.shape(0) != targets.shape(0) || !features.shape(0)) refuse("features and targets differ in length");
  if (features.shape(0) > size_t(INT32_MAX)) refuse("at most 2^31 - 1 samples");
  check_finite(features.data(), features.size(), "features");
  check_finite(targets.data(), targets.size(), "targets");
  nb::gil_scoped_release release;
  self.set_data(features.data(), targets.data(), features.shape(0));
}

Out advance(Trainer& self, const Ints& order, const Ints& sizes, const Rates& rates,
            const std::optional<Seeds>& seeds, std::optional<Floats>& errors) {
  const auto& s = self.settings();
  if ((s.dropped_inputs > 0 || s.dropped_hidden > 0) && !seeds) refuse("dropout needs a seed for each step");
  if (seeds && seeds->size() != sizes.size()) refuse("sizes and seeds differ in length");
  if (sizes.size() != rates.size()) refuse("sizes and rates differ in length");
  size_t total = 0;
  for (size_t i = 0; i < sizes.size(); i++) {
    if (sizes.data()[i] < 1) refuse("every minibatch needs at least one sample");
    if (!std::isfinite(rates.data()[i])) refuse("rates must be finite");
    total += size_t(sizes.data()[i]);
  }
  if (total != order.size())
    refuse("sizes add up to " + std::to_string(total) + ", order holds " + std::to_string(order.size()));
  if (errors && errors->size() != order.size()) refuse("errors and order differ in length");
  float* losses = nullptr;
  Out result = fresh({sizes.size()}, losses);
  nb::gil_scoped_release release;
  self.advance(order.data(), sizes.data(), rates.data(), seeds ? seeds->data() : nullptr, sizes.size(), losses,
               errors ? errors->data() : nullptr);
  return result;
}

nb::tuple gradient(Trainer& self, const Ints& rows) {
  if (!rows.size()) refuse("rows is empty");
  sfumato::Arrays into;
  nb::list arrays = new_arrays(self, into);
  float loss = 0;
  {
    nb::gil_scoped_release release;
    loss = self.gradient(rows.data(), rows.size(), into);
  }
  return nb::make_tuple(loss, arrays);
}

void check_features(const Trainer& self, const In2& features) {
  if (features.shape(1) != size_t(self.features()))
    refuse("features must be (N, " + std::to_string(self.features()) + ")");
  check_finite(features.data(), features.size(), "features");
}

nb::tuple pullback(Trainer& self, const In2& features, const In2& errors, bool inputs) {
  check_features(self, features);
  if (errors.shape(0) != features.shape(0) || errors.shape(1) != size_t(self.settings().outputs))
    refuse("errors must be (N, " + std::to_string(self.settings().outputs) + "), a row for each of features");
  if (!features.shape(0)) refuse("features is empty");
  if (inputs && (!self.settings().input_gradient || !self.settings().grid.levels.empty()))
    refuse("the gradient of the inputs needs input_gradient=True, and no grid");
  sfumato::Arrays into;
  nb::list arrays = new_arrays(self, into);
  float* dx = nullptr;
  nb::object wanted = nb::none();
  if (inputs) wanted = nb::cast(fresh({features.shape(0), features.shape(1)}, dx));
  {
    nb::gil_scoped_release release;
    self.pullback(features.data(), errors.data(), features.shape(0), into, dx);
  }
  return nb::make_tuple(arrays, wanted);
}

Out predict(Trainer& self, const In2& features) {
  check_features(self, features);
  float* data = nullptr;
  Out result = fresh({features.shape(0), size_t(self.settings().outputs)}, data);
  nb::gil_scoped_release release;
  self.predict(features.data(), features.shape(0), data);
  return result;
}

Out activations(Trainer& self, int layer, const In2& features, bool pre) {
  const auto& hidden = self.settings().hidden;
  if (layer < 0 || size_t(layer) >= hidden.size())
    throw nb::index_error(("layer " + std::to_string(layer) + " of " + std::to_string(hidden.size())).c_str());
  check_features(self, features);
  float* data = nullptr;
  Out result = fresh({features.shape(0), size_t(hidden[size_t(layer)])}, data);
  nb::gil_scoped_release release;
  self.activations(layer, pre, features.data(), features.shape(0), data);
  return result;
}

// For tests of the vector functions: values and slopes of an activation, and the cosine's kind of thing alone.
nb::tuple evaluate(const std::string& activation, double parameter, const In1& z, const std::string& isa) {
  const auto& kernels = sfumato::pick_kernels(isa);
  const auto which = static_cast<int>(pick(kActivations, activation, "activation"));
  const size_t count = z.size(), padded = (count + sfumato::kLine - 1) / sfumato::kLine * sfumato::kLine;
  auto values = sfumato::allocate(padded), slopes = sfumato::allocate(padded);
  std::copy(z.data(), z.data() + count, values.get());
  if (padded > size_t(1) << 30) refuse("too many values");
  if (kernels.forward_with_slope[which])
    kernels.forward_with_slope[which](values.get(), padded, slopes.get(), padded, 1, int(padded), float(parameter));
  float *first = nullptr, *second = nullptr;
  Out a = fresh({count}, first), b = fresh({count}, second);
  std::copy(values.get(), values.get() + count, first);
  std::copy(slopes.get(), slopes.get() + count, second);
  return nb::make_tuple(a, b);
}

}  // namespace

NB_MODULE(_native, m) {
  m.doc() = "Fused minibatch training of multi-layer perceptrons on the CPU.";
  m.def("usable_sets", &sfumato::usable_sets, "Instruction sets that can run here, best first.");
  m.def("half_is_fast", [](const std::string& isa) { return sfumato::pick_kernels(isa).half_is_fast; }, "isa"_a = "",
        "Whether the processor multiplies bfloat16 itself, so that bfloat16 pays.");
  m.def("peak", [](const std::string& isa) { return sfumato::peak(sfumato::pick_kernels(isa)); }, "isa"_a = "",
        "FLOP a second that one core's float32 multiply-adds reach at this moment.");
  m.def("evaluate", &evaluate, "activation"_a, "parameter"_a, "z"_a.noconvert(), "isa"_a = "",
        "Values and slopes of an activation at z (n,), by the vector functions of an instruction set. Slopes of\n"
        "relu and leaky_relu come out as 0: the backward pass reads them off the values.");
  nb::class_<Trainer>(m, "Trainer",
                      "A multi-layer perceptron in training. Arrays are float32, C-contiguous, in PyTorch's order:\n"
                      "W0 (out, in), b0 (out,), W1, ..., readout, skip (out, in).")
      .def("__init__", &build, nb::kw_only(), "inputs"_a, "hidden"_a, "outputs"_a, "activation"_a = "relu",
           "parameter"_a = 0.0, "loss"_a = "mse", "smoothing"_a = 0.0, "optimizer"_a = "adam", "first"_a = 0.9,
           "second"_a = 0.999, "eps"_a = 1e-8, "momentum"_a = 0.95, "auxiliary"_a = 0.05,
           "muon_steps"_a = 5, "muon_blocks"_a = 1, "decay"_a = 0.0,
           "clip"_a = 0.0, "dropped_inputs"_a = 0.0, "dropped_hidden"_a = 0.0, "factors"_a = std::vector<double>(),
           "skip"_a = false, "input_gradient"_a = false, "precision"_a = "float32",
           "grid"_a = std::vector<std::tuple<int, int, bool>>(), "features"_a = 2, "log2_table"_a = 14,
           "threads"_a = 1, "chunk"_a = 0, "isa"_a = "",
           "first, second: Adam's beta1 and beta2; SGD's momentum is `first`. momentum, auxiliary: of Muon, which\n"
           "moves the matrices between hidden layers (their moment is `first`), and Adam's rate on all else as a\n"
           "share of Muon's. muon_steps: of Newton and Schulz. muon_blocks: of units, made orthogonal by themselves.\n"
           "factors: of SGD's rate, one a matrix.\n"
           "precision: float32, bfloat16 (operands of all products but the first layer's), bfloat16-all. decay: Adam's,\n"
           "of weights and not of biases. clip: the gradient's largest norm, 0 = no limit.\n"
           "grid: levels (cells across, cells down, hashed) of a table of entries of `features` floats, looked up\n"
           "bilinearly at points (x, y): then features are (N, 2), inputs is levels * features, and the table\n"
           "(entries, features) is the last array. log2_table: of the entries of a hashed level.\n"
           "Raises ValueError for anything that cannot be meant.")
      .def("set", &set_arrays, "kind"_a, "arrays"_a.noconvert(),
           "Parameters (kind 'values') or moments ('first', 'second').")
      .def("get", &get_arrays, "kind"_a, "Parameters or moments, copied; moments that do not exist are zeros.")
      .def_prop_rw("updates", &Trainer::updates, &Trainer::set_updates, "Steps so far; Adam's correction needs it.")
      .def("set_data", &set_data, "features"_a.noconvert(), "targets"_a.noconvert(),
           "Copy the training samples: (N, inputs) and (N, outputs).")
      .def("advance", &advance, "order"_a.noconvert(), "sizes"_a.noconvert(), "rates"_a.noconvert(),
           "seeds"_a.noconvert() = nb::none(), "errors"_a.noconvert() = nb::none(),
           "len(sizes) steps; step s trains on the next sizes[s] rows of `order` (int32) at rates[s] (float64).\n"
           "seeds (uint32): of each step's dropout, as PyTorch's CPU generator takes them. errors (float32): filled with\n"
           "the loss of each row of `order` alone, before its step's update.\n"
           "Returns each minibatch's loss before its update.")
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
             "have been with every unit. Silent rectified units are skipped, but where SFUMATO_DENSE=1 is set.")
      .def_prop_ro("shapes", &Trainer::array_shapes, "(out, in) of each array, in 0 for a bias.");
}

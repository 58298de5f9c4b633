// What a trainer is built for; plain data, checked by Trainer's constructor.
#pragma once
#include <string>
#include <vector>

#include "kernels.h"

namespace sfumato {

enum class Loss : int {
  mse,           // mean over samples and outputs of squared errors
  l1,            // mean over samples and outputs of absolute errors; slope 0 at 0
  half_square,   // half the squared errors, summed over outputs, mean over samples
  cross_entropy  // of the softmax of the outputs against (smoothed) targets, mean over samples
};

// Operands of products; sums, weights, biases, activations and the skip are float32 always.
enum class Precision : int {
  float32,
  bfloat16,     // but the first layer's: coordinates do not fit into 8 bits
  bfloat16_all
};

enum class Method : int { adam, sgd, muon };

struct GridSettings {  // see kernels.h: Level; a level is (across, down, hashed), its entries are counted by Trainer
  struct Size {
    int across, down;
    bool hashed;
  };
  std::vector<Size> levels;  // empty: no grid, the features are the inputs
  int features = 2;
  int log2_table = 14;  // entries of a hashed level
};

struct Settings {
  int inputs = 0, outputs = 0;
  std::vector<int> hidden;  // width of each hidden layer; empty: a linear map
  GridSettings grid;        // then inputs = levels * features, and the data are points (x, y)
  bool input_gradient = false;  // `pullback` can also give the gradient of the inputs
  bool feedback = false;    // errors pass maps behind hidden layers by fixed matrices (Trainer::set_feedback)
  bool skip = false;        // also a linear map without bias from inputs to outputs
  Activation activation = Activation::relu;
  float parameter = 0;      // leaky ReLU: slope; sine, FINER: omega; Gaussian: scale; LWTA: units of a block
  Loss loss = Loss::mse;
  float smoothing = 0;      // of cross-entropy, in [0, 1)
  Method method = Method::adam;
  double first = 0.9, second = 0.999, epsilon = 1e-8;  // Adam: beta1, beta2, eps; SGD: first = momentum
  double momentum = 0.95, auxiliary = 0.05;  // Muon, on matrices between hidden layers; Adam's rate on all else
  int muon_steps = 5, muon_blocks = 1;  // of Newton and Schulz; blocks of units made orthogonal by themselves
  double decay = 0;         // Adam: each step shrinks weights, not biases, by rate * decay
  float dropped_inputs = 0, dropped_hidden = 0;  // dropout: shares of inputs and of hidden units, in [0, 1)
  float clip = 0;           // largest global norm of the gradient; 0 = no limit
  std::vector<float> factors;  // of the rate, one a matrix (hidden layers, readout, skip); empty: all 1
  Precision precision = Precision::float32;
  int threads = 1;
  int chunk = 0;            // rows a thread takes through the net at a time; 0 = by the size of the net
  std::string isa;          // "" = SFUMATO_ISA, else the best
};

}  // namespace sfumato

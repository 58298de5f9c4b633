// Muon: the momentum of a matrix is made nearly orthogonal before it is applied, so that all its directions learn
// alike (Jordan et al. 2024; sfumato.learning.optimizers.Muon is the specification). A matrix is taken whole, or in
// blocks of units (columns of [in][out], whole cache lines wide), which costs less.
//
// X <- a X + X (b S + c S S), S = X^T X, is three products a step. They work on the orientation with at least as
// many rows as columns, so that S is the smaller square. Both squares are symmetric: three fifths of each are
// computed, the rest is mirrored. All threads share each product, by rows, with a barrier
// after it; every element is computed by one thread in one order, so the result does not depend on their number.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels.h"
#include "memory.h"
#include "pool.h"

namespace sfumato {

class Muon {
 public:
  // half: products take bfloat16. steps: of Newton and Schulz. blocks: see Part.
  Muon(const Kernels& kernels, Pool& pool, bool half, int steps, int blocks);

  // One more matrix of in x out floats with rows `stride` apart; returns its number.
  int add(int in, int out, size_t stride);
  // What is to be made orthogonal, [in][stride], and, after `orthogonalize`, the result: to be written and read by
  // rows, by any thread. squares(i)[t]: each thread's share of the sum of its squares.
  float* update(int i) { return matrices_[i].update.get(); }
  double* squares(int i) { return matrices_[i].squares.data(); }
  // To be called by all threads at once, after a barrier.
  void orthogonalize(int t);
  // The learning rate's factor for a matrix of this shape.
  float scale(int i) const { return matrices_[i].scale; }

 private:
  struct Matrix {
    int in, out;
    size_t stride;
    float scale;
    Buffer update;
    std::vector<double> squares;
  };
  struct Part {  // columns [low, low + width) of a matrix, made orthogonal by themselves
    int matrix, low, width, rows, columns;  // rows >= columns: of x
    size_t x_stride, x16_row;
    Buffer x[2], s, p;
    Buffer x16[2], x_pairs, s16, s_pairs, p16, p_pairs;  // half only
    std::vector<double> squares;  // of the panels of x^T x
  };
  struct Range {
    int low, high;
  };

  Range share(int t, int rows) const;  // this thread's rows, whole blocks of kRows
  void start(int t, Part&);
  template <class Work>
  void panels(int t, const Part&, const Work&) const;
  static int below(const Part& m, int row) { return (m.columns + kRows - 1) / kRows * kRows - row; }
  void mirror(const Part&, float* square, int low, int high) const;
  void mirror(const Part&, float* rows16, float* pairs, int low, int high) const;
  void square(int t, Part&, const float* x);
  double normalize(int t, Part&) const;
  void polynomial(int t, Part&, double scale);
  void step(int t, Part&, int from, double scale);
  void finish(int t, const Part&, int last);
  void multiply(const Product& p) const { (half_ ? kernels_.multiply_half : kernels_.multiply)(p); }

  const Kernels& kernels_;
  Pool& pool_;
  bool half_;
  int steps_, blocks_;
  std::vector<Matrix> matrices_;
  std::vector<Part> parts_;
};

}  // namespace sfumato

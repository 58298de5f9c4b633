// Which values a step drops: the same as PyTorch's, from the same seed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sfumato {

// torch.Generator on the CPU: the Mersenne Twister (Matsumoto and Nishimura 1998, mt19937), seeded by 32 bits.
class Twister {
 public:
  explicit Twister(uint32_t seed);
  // keep[i] = 1 where torch.rand's next number, of 24 bits, is at least `share`; else 0.
  void draw(uint8_t* keep, size_t count, float share);

 private:
  static constexpr int kWords = 624, kApart = 397;
  void refill();

  uint32_t words_[kWords];
  int next_ = kWords;
};

}  // namespace sfumato

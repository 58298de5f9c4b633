// Which values a step drops: the same as PyTorch's, from the same seed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <random>

namespace sfumato {

// torch.Generator on the CPU: std::mt19937, whose every bit the standard fixes, with words of 32 bits. The standard's
// own alias has words of 64 bits on Linux and takes three times as long.
using Twister = std::mersenne_twister_engine<uint32_t, 32, 624, 397, 31, 0x9908b0df, 11, 0xffffffff, 7, 0x9d2c5680, 15,
                                             0xefc60000, 18, 1812433253>;

// keep[i] = 1 where torch.rand's next number, of 24 bits, is at least `share`; else 0.
inline void draw(Twister& twister, uint8_t* keep, size_t count, float share) {
  for (size_t i = 0; i < count; i++)
    keep[i] = static_cast<float>(twister() & 0xffffffu) * (1.f / 16777216.f) >= share;
}

}  // namespace sfumato

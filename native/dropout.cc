#include "dropout.h"

namespace sfumato {

Twister::Twister(uint32_t seed) {
  words_[0] = seed;
  for (int i = 1; i < kWords; i++)
    words_[i] = 1812433253u * (words_[i - 1] ^ (words_[i - 1] >> 30)) + static_cast<uint32_t>(i);
}

void Twister::refill() {
  const auto twist = [](uint32_t high, uint32_t low) {
    return (((high & 0x80000000u) | (low & 0x7fffffffu)) >> 1) ^ (low & 1u ? 0x9908b0dfu : 0u);
  };
  int i = 0;
  for (; i < kWords - kApart; i++) words_[i] = words_[i + kApart] ^ twist(words_[i], words_[i + 1]);
  for (; i < kWords - 1; i++) words_[i] = words_[i + kApart - kWords] ^ twist(words_[i], words_[i + 1]);
  words_[i] = words_[i + kApart - kWords] ^ twist(words_[i], words_[0]);
  next_ = 0;
}

void Twister::draw(uint8_t* keep, size_t count, float share) {
  for (size_t i = 0; i < count; i++) {
    if (next_ == kWords) refill();
    uint32_t y = words_[next_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    y ^= y >> 18;
    keep[i] = static_cast<float>(y & 0xffffffu) * (1.f / 16777216.f) >= share;
  }
}

}  // namespace sfumato

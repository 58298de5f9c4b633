// The AMX unit's own code with tiles in plain C++, for tests on machines without them; never chosen by itself.
#define LANES 16
#define BLOCK_ROWS 4
#define BLOCK_VECTORS 3
#define HALF_IS_FAST 0
#define TILES
#define TILES_EMULATED
#define SFUMATO_NAME "amx-emulated"
#define SFUMATO_TABLE kAmxEmulated
#include "kernels_impl.h"

/* Random numbers for programs made by Rust, on a wine that is too old to have this library (before 9.0). */
#include <stddef.h>

__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *buffer, unsigned long bytes);

__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *buffer, size_t bytes) {
    const size_t most = 1u << 30;
    while (bytes > 0) {
        unsigned long part = (unsigned long)(bytes < most ? bytes : most);
        if (!SystemFunction036(buffer, part)) {
            return 0;
        }
        buffer += part;
        bytes -= part;
    }
    return 1;
}

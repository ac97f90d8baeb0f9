// A library and, with -DPROGRAM, a program that records that it ran: it appends its own path to the file named by DECOY_MARK.
#include <windows.h>

static void record(HMODULE module) {
  char path[MAX_PATH], mark[MAX_PATH];
  DWORD length = GetModuleFileNameA(module, path, sizeof path - 1), written;
  if (!length || !GetEnvironmentVariableA("DECOY_MARK", mark, sizeof mark)) return;
  path[length++] = '\n';
  HANDLE file = CreateFileA(mark, FILE_APPEND_DATA, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS, 0, NULL);
  if (file == INVALID_HANDLE_VALUE) return;
  WriteFile(file, path, length, &written, NULL);
  CloseHandle(file);
}

#ifdef PROGRAM
int main(void) {
  record(NULL);
  return 1;
}
#else
BOOL WINAPI DllMain(HINSTANCE module, DWORD reason, LPVOID reserved) {
  (void)reserved;
  if (reason == DLL_PROCESS_ATTACH) record(module);
  return TRUE;
}
#endif

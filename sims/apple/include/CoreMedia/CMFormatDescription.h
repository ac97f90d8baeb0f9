#pragma once
#include <CoreMedia/CoreMedia.h>

/* What programs see of an Intel GPU beside the runtime: what the kernel's driver and libdrm say of a render node, and a VA display
 * with surfaces in host memory, of which the runtime finds the pixels by vplsim_va_surface(). Nothing is coded by VA-API here.
 * `run --gpu` preloads it, with root.c. VPLSIM_DEVICE is the PCI device. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <va/va.h>
#include <va/va_drm.h>
#include <xf86drm.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static unsigned device_id(void) {
    const char *device = getenv("VPLSIM_DEVICE");
    return device ? (unsigned)strtoul(device, NULL, 16) : 0x9a49;
}

/* Programs that open these libraries themselves get this one. */
void *dlopen(const char *name, int flags) {
    if (name && (strcmp(name, "libva.so.2") == 0 || strcmp(name, "libva-drm.so.2") == 0 || strcmp(name, "libva.so.1") == 0)) {
        Dl_info self;
        if (dladdr((void *)vaInitialize, &self)) name = self.dli_fname;
    }
    return NEXT(dlopen)(name, flags);
}

/* ---- the kernel's driver */

int ioctl(int file, unsigned long request, ...);
int ioctl(int file, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (request != DRM_IOCTL_VERSION) return NEXT(ioctl)(file, request, argument);
    struct drm_version *version = argument;
    version->version_major = 1, version->version_minor = 6, version->version_patchlevel = 0;
    if (version->name && version->name_len >= 4) memcpy(version->name, "i915", 4);
    version->name_len = 4, version->date_len = version->desc_len = 0;
    return 0;
}

drmVersionPtr drmGetVersion(int file) {
    (void)file;
    drmVersionPtr version = calloc(1, sizeof *version);
    version->version_major = 1, version->name_len = 4;
    version->name = strdup("i915"), version->date = strdup(""), version->desc = strdup("simulated");
    return version;
}
void drmFreeVersion(drmVersionPtr version) {
    if (!version) return;
    free(version->name), free(version->date), free(version->desc), free(version);
}
int drmGetDevice(int file, drmDevicePtr *device) {
    (void)file;
    struct { drmDevice device; drmPciDeviceInfo about; drmPciBusInfo bus; char *nodes[DRM_NODE_MAX]; char name[32]; } *all = calloc(1, sizeof *all);
    all->about.vendor_id = 0x8086, all->about.device_id = (uint16_t)device_id(), all->bus.dev = 2;
    strcpy(all->name, "/dev/dri/renderD128");
    all->nodes[DRM_NODE_RENDER] = all->name;
    all->device.nodes = all->nodes, all->device.available_nodes = 1 << DRM_NODE_RENDER, all->device.bustype = DRM_BUS_PCI;
    all->device.businfo.pci = &all->bus, all->device.deviceinfo.pci = &all->about;
    *device = &all->device;
    return 0;
}
int drmGetDevice2(int file, uint32_t flags, drmDevicePtr *device) { (void)flags; return drmGetDevice(file, device); }
void drmFreeDevice(drmDevicePtr *device) { free(*device), *device = NULL; }
int drmGetNodeTypeFromFd(int file) { (void)file; return DRM_NODE_RENDER; }
char *drmGetRenderDeviceNameFromFd(int file) { (void)file; return strdup("/dev/dri/renderD128"); }

/* ---- VA-API: a display, surfaces, images of them */

enum { SURFACES = 1024, IMAGES = 0x10000 };
static struct { uint8_t *memory; uint32_t fourcc, width, height, pitch, chroma; size_t size; int image; } surfaces[SURFACES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char display[256];

VADisplay vaGetDisplayDRM(int file) { (void)file; return display; }
VADisplay vaGetDisplay(void *native) { (void)native; return NULL; }
int vaDisplayIsValid(VADisplay d) { return d == display; }
static int silent;
VAStatus vaInitialize(VADisplay d, int *major, int *minor) {
    if (!silent) fprintf(stderr, "libva info: as the real one says to standard error\n");
    *major = VA_MAJOR_VERSION, *minor = VA_MINOR_VERSION;
    return d == display ? VA_STATUS_SUCCESS : VA_STATUS_ERROR_INVALID_DISPLAY;
}
VAStatus vaTerminate(VADisplay d) { (void)d; return VA_STATUS_SUCCESS; }
VAStatus vaSetDriverName(VADisplay d, char *name) { (void)d, (void)name; return VA_STATUS_SUCCESS; }
VAMessageCallback vaSetErrorCallback(VADisplay d, VAMessageCallback f, void *c) { (void)d, (void)f, (void)c; return NULL; }
VAMessageCallback vaSetInfoCallback(VADisplay d, VAMessageCallback f, void *c) { (void)d, (void)c; silent = !f; return NULL; }
const char *vaErrorStr(VAStatus status) { return status ? "not simulated" : "success"; }
const char *vaQueryVendorString(VADisplay d) { (void)d; return "Intel iHD driver (simulated)"; }

/* What ffmpeg tells adapters apart by. */
int vaMaxNumDisplayAttributes(VADisplay d) { (void)d; return 1; }
VAStatus vaGetDisplayAttributes(VADisplay d, VADisplayAttribute *list, int count) {
    (void)d;
    for (int i = 0; i < count; i++) {
        list[i].flags = VA_DISPLAY_ATTRIB_GETTABLE;
        if ((int)list[i].type == 21 /* VADisplayPCIID, later than some headers */) list[i].value = (int)(0x80860000u | device_id());
    }
    return VA_STATUS_SUCCESS;
}

static const VAImageFormat FORMATS[] = {
    {.fourcc = VA_FOURCC_NV12, .byte_order = VA_LSB_FIRST, .bits_per_pixel = 12},
    {.fourcc = VA_FOURCC_P010, .byte_order = VA_LSB_FIRST, .bits_per_pixel = 24},
    {.fourcc = VA_FOURCC_BGRA, .byte_order = VA_LSB_FIRST, .bits_per_pixel = 32},
};
int vaMaxNumImageFormats(VADisplay d) { (void)d; return 3; }
VAStatus vaQueryImageFormats(VADisplay d, VAImageFormat *list, int *count) {
    (void)d;
    memcpy(list, FORMATS, sizeof FORMATS), *count = 3;
    return VA_STATUS_SUCCESS;
}

int vaMaxNumProfiles(VADisplay d) { (void)d; return 1; }
int vaMaxNumEntrypoints(VADisplay d) { (void)d; return 1; }
VAStatus vaQueryConfigProfiles(VADisplay d, VAProfile *list, int *count) { (void)d; *list = VAProfileNone, *count = 1; return VA_STATUS_SUCCESS; }
VAStatus vaQueryConfigEntrypoints(VADisplay d, VAProfile p, VAEntrypoint *list, int *count) {
    (void)d, (void)p;
    *list = VAEntrypointVideoProc, *count = 1;
    return VA_STATUS_SUCCESS;
}
VAStatus vaGetConfigAttributes(VADisplay d, VAProfile p, VAEntrypoint e, VAConfigAttrib *list, int count) {
    (void)d, (void)p, (void)e;
    for (int i = 0; i < count; i++) list[i].value = VA_ATTRIB_NOT_SUPPORTED;
    return VA_STATUS_SUCCESS;
}
VAStatus vaCreateConfig(VADisplay d, VAProfile p, VAEntrypoint e, VAConfigAttrib *list, int count, VAConfigID *id) {
    (void)d, (void)p, (void)e, (void)list, (void)count;
    *id = 1;
    return VA_STATUS_SUCCESS;
}
VAStatus vaDestroyConfig(VADisplay d, VAConfigID id) { (void)d, (void)id; return VA_STATUS_SUCCESS; }
VAStatus vaQuerySurfaceAttributes(VADisplay d, VAConfigID id, VASurfaceAttrib *list, unsigned *count) {
    static const uint32_t all[] = {VA_FOURCC_NV12, VA_FOURCC_P010, VA_FOURCC_BGRA};
    static const int sizes[][2] = {{VASurfaceAttribMinWidth, 16}, {VASurfaceAttribMinHeight, 16}, {VASurfaceAttribMaxWidth, 16384}, {VASurfaceAttribMaxHeight, 16384}};
    (void)d, (void)id;
    for (int i = 0; list && i < 7 && (unsigned)i < *count; i++) {
        memset(&list[i], 0, sizeof *list);
        list[i].type = i < 3 ? VASurfaceAttribPixelFormat : (VASurfaceAttribType)sizes[i - 3][0];
        list[i].flags = VA_SURFACE_ATTRIB_GETTABLE | VA_SURFACE_ATTRIB_SETTABLE;
        list[i].value.type = VAGenericValueTypeInteger;
        list[i].value.value.i = i < 3 ? (int)all[i] : sizes[i - 3][1];
    }
    *count = 7;
    return VA_STATUS_SUCCESS;
}

#undef vaCreateSurfaces
VAStatus vaCreateSurfaces(VADisplay d, unsigned format, unsigned width, unsigned height, VASurfaceID *ids, unsigned count, VASurfaceAttrib *list, unsigned attributes) {
    (void)d;
    uint32_t fourcc = format == VA_RT_FORMAT_YUV420_10 ? VA_FOURCC_P010 : format == VA_RT_FORMAT_RGB32 ? VA_FOURCC_BGRA : VA_FOURCC_NV12;
    for (unsigned i = 0; i < attributes; i++)
        if (list[i].type == VASurfaceAttribPixelFormat) fourcc = (uint32_t)list[i].value.value.i;
    pthread_mutex_lock(&lock);
    unsigned made = 0;
    for (unsigned id = 1; id < SURFACES && made < count; id++) {
        if (surfaces[id].memory) continue;
        uint32_t bytes = fourcc == VA_FOURCC_NV12 ? 1 : fourcc == VA_FOURCC_P010 ? 2 : 4;
        uint32_t pitch = (width * bytes + 127) / 64 * 64, rows = (height + 31) / 32 * 32;
        surfaces[id].fourcc = fourcc, surfaces[id].width = width, surfaces[id].height = height;
        surfaces[id].pitch = pitch, surfaces[id].chroma = pitch * rows;
        surfaces[id].size = (size_t)pitch * rows * (bytes == 4 ? 2 : 3) / 2;
        surfaces[id].memory = malloc(surfaces[id].size);
        if (!surfaces[id].memory) break;
        memset(surfaces[id].memory, 0xa5, surfaces[id].size);
        ids[made++] = id;
    }
    pthread_mutex_unlock(&lock);
    return made == count ? VA_STATUS_SUCCESS : VA_STATUS_ERROR_ALLOCATION_FAILED;
}
VAStatus vaDestroySurfaces(VADisplay d, VASurfaceID *ids, int count) {
    (void)d;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++)
        if (ids[i] < SURFACES) free(surfaces[ids[i]].memory), surfaces[ids[i]].memory = NULL;
    pthread_mutex_unlock(&lock);
    return VA_STATUS_SUCCESS;
}
VAStatus vaSyncSurface(VADisplay d, VASurfaceID id) { (void)d, (void)id; return VA_STATUS_SUCCESS; }
VAStatus vaQuerySurfaceStatus(VADisplay d, VASurfaceID id, VASurfaceStatus *status) { (void)d, (void)id; *status = VASurfaceReady; return VA_STATUS_SUCCESS; }

/* For the runtime: where the pixels of a surface are. */
uint8_t *vplsim_va_surface(uint32_t id, uint32_t *pitch, uint32_t *chroma) {
    if (id >= SURFACES || !surfaces[id].memory) return NULL;
    *pitch = surfaces[id].pitch, *chroma = surfaces[id].chroma;
    return surfaces[id].memory;
}

static void describe(VASurfaceID id, VAImage *image) {
    memset(image, 0, sizeof *image);
    image->image_id = image->buf = IMAGES + id;
    image->format.fourcc = surfaces[id].fourcc;
    image->width = (uint16_t)surfaces[id].width, image->height = (uint16_t)surfaces[id].height;
    image->data_size = (uint32_t)surfaces[id].size, image->num_planes = surfaces[id].fourcc == VA_FOURCC_BGRA ? 1 : 2;
    image->pitches[0] = image->pitches[1] = surfaces[id].pitch, image->offsets[1] = surfaces[id].chroma;
}
VAStatus vaDeriveImage(VADisplay d, VASurfaceID id, VAImage *image) {
    (void)d;
    if (id >= SURFACES || !surfaces[id].memory) return VA_STATUS_ERROR_INVALID_SURFACE;
    describe(id, image);
    return VA_STATUS_SUCCESS;
}
/* An image of its own is a surface that nobody else knows. */
VAStatus vaCreateImage(VADisplay d, VAImageFormat *format, int width, int height, VAImage *image) {
    VASurfaceID id;
    VASurfaceAttrib wanted = {.type = VASurfaceAttribPixelFormat, .value = {.value.i = (int)format->fourcc}};
    VAStatus status = vaCreateSurfaces(d, 0, (unsigned)width, (unsigned)height, &id, 1, &wanted, 1);
    if (status == VA_STATUS_SUCCESS) describe(id, image), surfaces[id].image = 1;
    return status;
}
VAStatus vaDestroyImage(VADisplay d, VAImageID image) {
    VASurfaceID id = image - IMAGES;
    if (id < SURFACES && surfaces[id].image) surfaces[id].image = 0, vaDestroySurfaces(d, &id, 1);
    return VA_STATUS_SUCCESS;
}
VAStatus vaGetImage(VADisplay d, VASurfaceID from, int x, int y, unsigned width, unsigned height, VAImageID image) {
    VASurfaceID to = image - IMAGES;
    (void)d, (void)width, (void)height;
    if (x || y || to >= SURFACES || from >= SURFACES || surfaces[to].size != surfaces[from].size) return VA_STATUS_ERROR_UNIMPLEMENTED;
    memcpy(surfaces[to].memory, surfaces[from].memory, surfaces[to].size);
    return VA_STATUS_SUCCESS;
}
VAStatus vaPutImage(VADisplay d, VASurfaceID to, VAImageID image, int x, int y, unsigned w, unsigned h, int tx, int ty, unsigned tw, unsigned th) {
    VASurfaceID from = image - IMAGES;
    (void)d, (void)w, (void)h, (void)tw, (void)th;
    if (x || y || tx || ty || to >= SURFACES || from >= SURFACES || surfaces[to].size != surfaces[from].size) return VA_STATUS_ERROR_UNIMPLEMENTED;
    memcpy(surfaces[to].memory, surfaces[from].memory, surfaces[to].size);
    return VA_STATUS_SUCCESS;
}
VAStatus vaMapBuffer(VADisplay d, VABufferID id, void **place) {
    (void)d;
    id -= IMAGES;
    if (id >= SURFACES || !surfaces[id].memory) return VA_STATUS_ERROR_INVALID_BUFFER;
    *place = surfaces[id].memory;
    return VA_STATUS_SUCCESS;
}
VAStatus vaUnmapBuffer(VADisplay d, VABufferID id) { (void)d, (void)id; return VA_STATUS_SUCCESS; }
VAStatus vaDestroyBuffer(VADisplay d, VABufferID id) { (void)d, (void)id; return VA_STATUS_SUCCESS; }

/* Programs look for these, and those that leave coding to the runtime call none of them. */
VAStatus vaCreateBuffer(VADisplay d, VAContextID c, VABufferType t, unsigned size, unsigned count, void *data, VABufferID *id) {
    (void)d, (void)c, (void)t, (void)size, (void)count, (void)data, (void)id;
    return VA_STATUS_ERROR_UNIMPLEMENTED;
}
VAStatus vaCreateContext(VADisplay d, VAConfigID c, int w, int h, int flag, VASurfaceID *list, int count, VAContextID *id) {
    (void)d, (void)c, (void)w, (void)h, (void)flag, (void)list, (void)count, (void)id;
    return VA_STATUS_ERROR_UNIMPLEMENTED;
}
VAStatus vaDestroyContext(VADisplay d, VAContextID id) { (void)d, (void)id; return VA_STATUS_ERROR_UNIMPLEMENTED; }
VAStatus vaAcquireBufferHandle(VADisplay d, VABufferID id, VABufferInfo *info) { (void)d, (void)id, (void)info; return VA_STATUS_ERROR_UNIMPLEMENTED; }
VAStatus vaReleaseBufferHandle(VADisplay d, VABufferID id) { (void)d, (void)id; return VA_STATUS_ERROR_UNIMPLEMENTED; }
VAPrivFunc vaGetLibFunc(VADisplay d, const char *name) { (void)d, (void)name; return NULL; }

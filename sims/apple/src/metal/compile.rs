//! A kernel's own text, compiled by the system's C++ compiler and run on the CPU, thread by thread.

use std::ffi::{CStr, CString, c_void};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const STDLIB: &str = include_str!("metal_stdlib.hpp");

/// A plane as kernels read it (`Plane` of `metal_stdlib.hpp`).
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Plane {
    /// The first sample.
    pub base: *const u8,
    /// Bytes from row to row.
    pub pitch: usize,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Of a sample.
    pub bytes: u32,
    /// Samples of a pixel.
    pub channels: u32,
    /// Set by a read outside.
    pub outside: u32,
}

/// What a parameter of a kernel is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its place in the grid.
    Thread,
    /// A texture.
    Texture(usize),
    /// A buffer.
    Buffer(usize),
}

type Run = unsafe extern "C" fn(*mut Plane, *const *mut c_void, *const u32);

/// Kernels of one text. They stay loaded.
#[derive(Debug)]
pub struct Code {
    /// By name.
    pub kernels: Vec<Kernel>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// In the text.
    pub name: String,
    /// Its parameters.
    pub places: Vec<Place>,
    run: Run,
}

impl Kernel {
    /// Runs so many threads. The textures and buffers are by number, as many as its parameters name.
    pub fn run(&self, planes: &mut [Plane], buffers: &[*mut c_void], threads: [u32; 3]) {
        // SAFETY: made by `compile` for these parameters. What buffers hold is the client's, as with a GPU.
        unsafe { (self.run)(planes.as_mut_ptr(), buffers.as_ptr(), threads.as_ptr()) };
    }
}

/// The kernels of a text and their parameters.
fn kernels_of(text: &str) -> Result<Vec<(String, Vec<Place>)>, String> {
    let mut kernels = Vec::new();
    for (at, mark) in text.match_indices("kernel void ") {
        let rest = &text[at + mark.len()..];
        let (name, rest) = rest.split_once('(').ok_or("a kernel without parameters")?;
        let (parameters, _) = rest.split_once(") {").ok_or("a kernel without a body")?;
        let places = parameters.split("[[").skip(1).map(|part| {
            let word = part.split("]]").next().unwrap_or_default();
            let number =
                |start| word.strip_prefix(start).and_then(|rest: &str| rest.strip_suffix(')')?.parse().ok());
            match (word, number("texture("), number("buffer(")) {
                ("thread_position_in_grid", ..) => Ok(Place::Thread),
                (_, Some(at), _) if at < 8 => Ok(Place::Texture(at)),
                (_, _, Some(at)) if at < 8 => Ok(Place::Buffer(at)),
                _ => Err(format!("the attribute [[{word}]] is not simulated")),
            }
        });
        kernels.push((name.to_owned(), places.collect::<Result<_, _>>()?));
    }
    if kernels.is_empty() { Err("no kernel in the text".into()) } else { Ok(kernels) }
}

/// Compiles a text; the error has the compiler's words.
pub fn compile(text: &str) -> Result<Code, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let kernels = kernels_of(text)?;
    let mut all = format!("{text}\n");
    for (name, places) in &kernels {
        let arguments: Vec<_> = places
            .iter()
            .map(|place| match place {
                Place::Thread => "metal::uint3(x, y, z)".to_owned(),
                Place::Texture(at) => format!("planes + {at}"),
                Place::Buffer(at) => format!("metal::Any{{buffers[{at}]}}"),
            })
            .collect();
        all += &format!(
            "extern \"C\" void vtsim_{name}(metal::Plane *planes, void *const *buffers, const unsigned *threads) {{\n\
             for (unsigned z = 0; z < threads[2]; z++) for (unsigned y = 0; y < threads[1]; y++)\n\
             for (unsigned x = 0; x < threads[0]; x++) {name}({});\n}}\n",
            arguments.join(", ")
        );
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("vtsim-metal-{}-{number}", std::process::id()));
    // One that is there already is somebody else's.
    fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let made = build(&folder, &all, &kernels);
    let _ = fs::remove_dir_all(&folder);
    made
}

fn build(folder: &std::path::Path, text: &str, kernels: &[(String, Vec<Place>)]) -> Result<Code, String> {
    let write =
        |name: &str, text: &str| fs::write(folder.join(name), text).map_err(|error| error.to_string());
    fs::create_dir(folder.join("simd")).map_err(|error| error.to_string())?;
    write("metal_stdlib", STDLIB)?;
    write("simd/simd.h", "")?;
    write("kernels.cpp", text)?;
    let object = folder.join("kernels.so");
    // A buffer is declared as an array of one word, and read on behind it.
    let done = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()))
        .args(["-std=c++17", "-O1", "-shared", "-fPIC", "-w", "-fno-strict-aliasing"])
        .args(["-fno-aggressive-loop-optimizations", "-fno-tree-vrp"])
        .arg("-I")
        .arg(folder)
        .arg("-o")
        .arg(&object)
        .arg(folder.join("kernels.cpp"))
        .env_remove("LD_PRELOAD")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .map_err(|error| format!("no C++ compiler to run kernels with: {error}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let path = CString::new(object.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: it was just made, and nothing runs when it is loaded; it is never unloaded.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        // SAFETY: a text of the system's, after a failure.
        let words = unsafe { CStr::from_ptr(libc::dlerror()) };
        return Err(words.to_string_lossy().into_owned());
    }
    let mut found = Vec::new();
    for (name, places) in kernels {
        let symbol = CString::new(format!("vtsim_{name}")).map_err(|error| error.to_string())?;
        // SAFETY: the library is loaded, and the name ends with a NUL.
        let address = unsafe { libc::dlsym(library, symbol.as_ptr()) };
        if address.is_null() {
            return Err(format!("no {name} in what was compiled"));
        }
        // SAFETY: `compile` has written a function of this type under this name.
        let run = unsafe { std::mem::transmute::<*mut c_void, Run>(address) };
        found.push(Kernel { name: name.clone(), places: places.clone(), run });
    }
    Ok(Code { kernels: found })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn parameters_are_read_by_their_attributes() {
        let text = "kernel void a(\n uint3 id [[thread_position_in_grid]]\n, x [[texture(1)]]\n, y [[buffer(0)]]\n) {\n}";
        let places = vec![Place::Thread, Place::Texture(1), Place::Buffer(0)];
        assert_eq!(kernels_of(text), Ok(vec![("a".to_owned(), places)]));
        assert!(kernels_of("kernel void a(uint x [[thread_index_in_simdgroup]]) {}").is_err());
        assert!(kernels_of("no kernel").is_err());
    }
}

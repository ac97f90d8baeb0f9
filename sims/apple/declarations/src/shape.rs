//! What a type is to the calling convention of C, and whether two declarations agree in it.

use std::ffi::c_void;
use std::ptr::NonNull;

use objc2::rc::Retained;
use objc2_core_foundation::{CFArray, CFRetained};

/// A type, as far as caller and callee have to agree.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    /// `void`
    Nothing,
    /// What is behind a `void *`.
    Anything,
    /// An object that only Apple's functions look into.
    Object,
    Integer {
        bytes: usize,
        signed: bool,
    },
    Float {
        bytes: usize,
    },
    Structure {
        bytes: usize,
        align: usize,
    },
    Pointer(&'static Shape),
    Function {
        arguments: &'static [Shape],
        result: &'static Shape,
    },
}

/// Whether both are the same. A `void *` is the same as every other pointer.
pub(crate) const fn agree(one: &Shape, other: &Shape) -> bool {
    use Shape::{Anything, Float, Function, Integer, Nothing, Object, Pointer, Structure};
    match (one, other) {
        (Nothing, Nothing) | (Object, Object) => true,
        (Integer { bytes, signed }, Integer { bytes: b, signed: s }) => *bytes == *b && *signed == *s,
        (Float { bytes }, Float { bytes: b }) => *bytes == *b,
        (Structure { bytes, align }, Structure { bytes: b, align: a }) => *bytes == *b && *align == *a,
        (Pointer(Anything), Pointer(_)) | (Pointer(_), Pointer(Anything)) => true,
        (Pointer(one), Pointer(other)) => agree(one, other),
        (Function { arguments: one, result }, Function { arguments: other, result: r }) => {
            if one.len() != other.len() || !agree(result, r) {
                return false;
            }
            let mut index = 0;
            while index < one.len() {
                if !agree(&one[index], &other[index]) {
                    return false;
                }
                index += 1;
            }
            true
        }
        _ => false,
    }
}

/// A type whose shape is known.
pub(crate) trait Shaped {
    const SHAPE: Shape;
}

/// The shape of a function, of which only the type counts.
pub(crate) const fn of<T: Shaped + Copy>(_: T) -> Shape {
    T::SHAPE
}

macro_rules! shapes {
    ($($type:ty => $shape:expr;)*) => { $(impl Shaped for $type { const SHAPE: Shape = $shape; })* };
}
pub(crate) use shapes;

macro_rules! integers {
    ($($type:ty)*) => {
        $(impl Shaped for $type {
            const SHAPE: Shape = Shape::Integer { bytes: size_of::<$type>(), signed: <$type>::MIN != 0 };
        })*
    };
}

integers!(i8 u8 i16 u16 i32 u32 i64 u64 isize usize);
shapes! {
    () => Shape::Nothing;
    c_void => Shape::Anything;
    bool => u8::SHAPE;
    f32 => Shape::Float { bytes: 4 };
    f64 => Shape::Float { bytes: 8 };
}

macro_rules! pointers {
    ($($type:ty),*) => { $(impl<T: Shaped> Shaped for $type { const SHAPE: Shape = Shape::Pointer(&T::SHAPE); })* };
}
pointers!(*const T, *mut T, &T, NonNull<T>, CFRetained<T>, Retained<T>);

/// Null stands for none.
impl<T: Shaped> Shaped for Option<T> {
    const SHAPE: Shape = T::SHAPE;
}

impl<T: ?Sized> Shaped for CFArray<T> {
    const SHAPE: Shape = Shape::Object;
}

macro_rules! function_pointers {
    ($abi:literal; $($argument:ident)*) => {
        impl<$($argument: Shaped,)* Out: Shaped> Shaped for unsafe extern $abi fn($($argument),*) -> Out {
            const SHAPE: Shape = Shape::Function { arguments: &[$($argument::SHAPE),*], result: &Out::SHAPE };
        }
    };
}
macro_rules! arities {
    ($($argument:ident)*) => {
        function_pointers!("C"; $($argument)*);
        function_pointers!("C-unwind"; $($argument)*);
        arities!(@ $($argument)*);
    };
    (@ $first:ident $($rest:ident)*) => { arities!($($rest)*); };
    (@) => {};
}
arities!(A B C D E F G H I J K L);

pub fn convert(
    _f: &crate::frame::Frame,
    _p: crate::pixel::PixelFormat,
) -> crate::Result<crate::frame::Frame> {
    todo!()
}

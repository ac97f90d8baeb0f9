pub mod convert {
    pub fn length_prefixed_to_annexb(_: &[u8], _: u8, _: &mut Vec<u8>) -> crate::Result<()> {
        todo!()
    }
}
pub mod h264 {
    pub struct AvcConfig;
    impl AvcConfig {
        pub fn parse(_: &[u8]) -> crate::Result<Self> {
            todo!()
        }
        pub fn to_annexb(&self) -> Vec<u8> {
            todo!()
        }
    }
}
pub mod hevc {
    pub struct HevcConfig;
    impl HevcConfig {
        pub fn parse(_: &[u8]) -> crate::Result<Self> {
            todo!()
        }
        pub fn to_annexb(&self) -> Vec<u8> {
            todo!()
        }
    }
}

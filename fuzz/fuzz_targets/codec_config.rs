//! Configuration records: what can be read must survive being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use video_hw::bitstream::{Av1Config, AvcConfig, HevcConfig, StreamInfo, VpConfig};
use video_hw::codec::Codec;

fuzz_target!(|data: &[u8]| {
    for codec in Codec::ALL {
        let _ = StreamInfo::from_config(codec, data);
    }
    if let Ok(config) = AvcConfig::parse(data) {
        assert_eq!(AvcConfig::parse(&config.build()).unwrap(), config);
    }
    if let Ok(config) = HevcConfig::parse(data) {
        assert_eq!(HevcConfig::parse(&config.build()).unwrap(), config);
        let _ = HevcConfig::from_parameter_sets(config.units(), true);
    }
    if let Ok(config) = Av1Config::parse(data) {
        assert_eq!(Av1Config::parse(&config.build()).unwrap(), config);
    }
    if let Ok(config) = VpConfig::parse(data) {
        assert_eq!(VpConfig::parse(&config.build()).unwrap(), config);
    }
});

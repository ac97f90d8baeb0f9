//! How busy a card is, on the simulated driver: what NVML tells, what it does not tell, and a machine without it. All figures
//! are simulated.

use crate::support::nvidia::{clean_on, fault, simulated_on};
use video_hw::backend::{BackendKind, devices, utilization};
use video_hw::capability::{DeviceMemory, Utilization};
use video_hw::error::Error;

const NVIDIA: BackendKind = BackendKind::Nvidia;

fn first() -> Option<Utilization> {
    utilization(NVIDIA, None).unwrap()
}

#[test]
fn a_card_with_encoders_tells_everything() {
    let settings = "nvml.gpu=101;nvml.memory=4;nvml.encoder=50;nvml.decoder=0;nvml.memory_used_mib=100";
    clean_on("ada", "a_card_with_encoders_tells_everything", settings, || {
        let busy = first().unwrap();
        // No share is more than the whole.
        assert_eq!((busy.gpu, busy.memory_bus), (Some(1.0), Some(0.04)));
        assert_eq!((busy.encoder, busy.decoder), (Some(0.5), Some(0.0)));
        assert_eq!(busy.memory.map(DeviceMemory::used), Some(100 << 20));
        let by_id = devices(NVIDIA).unwrap()[0].id.clone();
        assert_eq!(utilization(NVIDIA, Some(&by_id)).unwrap(), Some(busy));
        assert!(matches!(utilization(NVIDIA, Some("7")), Err(Error::InvalidInput { .. })));
    });
}

#[test]
fn a_card_without_encoders_says_nothing_of_them() {
    clean_on("h200", "a_card_without_encoders_says_nothing_of_them", "", || {
        let busy = first().unwrap();
        assert_eq!((busy.encoder, busy.decoder), (None, Some(0.21)));
    });
}

#[test]
fn a_part_of_a_card_is_found_and_tells_its_memory_alone() {
    let name = "a_part_of_a_card_is_found_and_tells_its_memory_alone";
    clean_on("ada", name, "nvml.partitioned=true", || {
        let busy = first().unwrap();
        let memory = busy.memory.unwrap();
        assert_eq!(busy, Utilization { memory: Some(memory), ..Utilization::default() });
        assert!(memory.total > memory.free && memory.free > 0);
    });
}

#[test]
fn a_lost_card_is_an_error_and_the_next_call_asks_again() {
    let name = "a_lost_card_is_an_error_and_the_next_call_asks_again";
    let settings = fault("nvmlDeviceGetDecoderUtilization", 1, "code=15");
    simulated_on("ada", name, &settings, || {
        assert!(matches!(utilization(NVIDIA, None), Err(Error::DeviceLost { .. })));
        assert!(first().unwrap().decoder.is_some());
    });
}

#[test]
fn an_answer_that_nobody_expects_is_told_with_its_call() {
    let name = "an_answer_that_nobody_expects_is_told_with_its_call";
    let settings = fault("nvmlDeviceGetMemoryInfo", 1, "code=999");
    simulated_on("ada", name, &settings, || {
        let error = utilization(NVIDIA, None).unwrap_err();
        assert!(
            matches!(error, Error::Backend { call: "nvmlDeviceGetMemoryInfo", code: 999, .. }),
            "{error}"
        );
    });
}

#[test]
fn nvml_that_does_not_start_is_as_none() {
    let name = "nvml_that_does_not_start_is_as_none";
    simulated_on("ada", name, &fault("nvmlInit", 1, "code=9"), || assert_eq!(first(), None));
}

#[test]
fn the_cpu_has_no_devices() {
    assert_eq!(utilization(BackendKind::Software, None).unwrap(), None);
    assert!(utilization(BackendKind::Custom, None).is_err(), "there is none of that kind");
}

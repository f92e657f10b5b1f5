use super::*;

fn line(config: &VmConfig) -> String {
    let path = Path::new("/x");
    config
        .arguments(Accel::Tcg, path, path, path, 10, 11)
        .join(" ")
}

#[test]
fn memory_is_shared_unless_asked_otherwise() {
    let shared = line(&VmConfig::new("a"));
    assert!(
        shared.contains("memory-backend-memfd,id=m,size=320M,share=on "),
        "{shared}"
    );
    assert!(shared.contains("memory-backend=m"), "{shared}");
    let anonymous = line(&VmConfig::new("a").memory(Memory::Anonymous));
    assert!(!anonymous.contains("memory-backend"), "{anonymous}");
    let huge = line(&VmConfig::new("a").memory(Memory::Huge));
    assert!(huge.contains("share=on,hugetlb=on"), "{huge}");
}

#[test]
fn root_ports_come_before_the_devices_that_may_sit_on_them() {
    let text = line(&VmConfig::new("a").hotplug_ports(2).device("dev,bus=hot1"));
    let at = |what: &str| text.find(what).unwrap();
    assert!(at("id=hot0") < at("id=hot1,") && at("id=hot1,") < at("dev,bus=hot1"));
}

#[test]
fn an_iommu_is_told_to_the_kernel_too() {
    let mut config = VmConfig::new("a");
    config.iommu = true;
    let text = line(&config);
    assert!(
        text.contains("-device intel-iommu") && text.contains("intel_iommu=on"),
        "{text}"
    );
}

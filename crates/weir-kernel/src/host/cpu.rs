//! /proc/cpuinfo: which instructions of the CPU give random numbers, and whether it runs under a hypervisor.
//!
//! Only the first processor's entry is read; the kernel uses what all of them have, and they are alike wherever these
//! instructions exist.

use super::root::{Fact, Root, Unknown};

/// The random number instructions that a CPU offers its kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuRandom {
    /// x86 RDRAND: a conditioned generator.
    pub rdrand: bool,
    /// x86 RDSEED: the conditioned noise itself.
    pub rdseed: bool,
    /// ARMv8.5 RNDR (FEAT_RNG).
    pub rndr: bool,
    /// RISC-V Zkr: the `seed` register.
    pub zkr: bool,
}

impl CpuRandom {
    /// Whether there is any.
    #[must_use]
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// Their names.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = [(self.rdrand, "RDRAND"), (self.rdseed, "RDSEED"), (self.rndr, "RNDR"), (self.zkr, "Zkr")];
        all.into_iter().filter_map(|(there, name)| there.then_some(name)).collect()
    }
}

/// What cpuinfo says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Random number instructions.
    pub random: CpuRandom,
    /// The processor's maker, where cpuinfo says it.
    pub vendor: Option<String>,
    /// x86: whether the CPU says that it runs under a hypervisor. `None` where a CPU has no way to say so.
    pub hypervisor: Option<bool>,
}

impl Cpu {
    pub(super) fn read(root: &Root) -> Fact<Self> {
        Self::parse(&root.text("/proc/cpuinfo")?)
    }

    /// Reads the text of /proc/cpuinfo.
    ///
    /// # Errors
    /// [`Unknown::Malformed`] if it names no features of any CPU.
    pub fn parse(text: &str) -> Fact<Self> {
        let mut cpu = Self::default();
        let mut seen = false;
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let has = |name: &str| value.split_ascii_whitespace().any(|word| word == name);
            match key.trim() {
                "processor" if seen => break,
                "vendor_id" => cpu.vendor = Some(value.trim().chars().take(64).collect()),
                // x86, where the line exists on every processor.
                "flags" => {
                    seen = true;
                    cpu.random.rdrand = has("rdrand");
                    cpu.random.rdseed = has("rdseed");
                    cpu.hypervisor = Some(has("hypervisor"));
                }
                // arm64, arm.
                "Features" => {
                    seen = true;
                    cpu.random.rndr = has("rng");
                }
                // RISC-V: extensions joined by underscores.
                "isa" => {
                    seen = true;
                    cpu.random.zkr = value.trim().split('_').any(|extension| extension == "zkr");
                }
                // s390, POWER, User-mode Linux: no instruction of the kinds above.
                "features" | "cpu" | "model name" | "mode" => seen = true,
                _ => {}
            }
        }
        if seen { Ok(cpu) } else { Err(Unknown::Malformed("no CPU in it")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_architecture_names_its_instructions() {
        let names = |text| Cpu::parse(text).map(|cpu| (cpu.random.names(), cpu.hypervisor));
        let x86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu aes rdrand hypervisor rdseed\n";
        assert_eq!(names(x86), Ok((vec!["RDRAND", "RDSEED"], Some(true))));
        assert_eq!(names("processor: 0\nflags: fpu\n"), Ok((vec![], Some(false))));
        let arm = "processor\t: 0\nFeatures\t: fp asimd rng\n\nprocessor\t: 1\nFeatures\t: fp\n";
        assert_eq!(names(arm), Ok((vec!["RNDR"], None)));
        assert_eq!(names("processor\t: 0\nFeatures\t: fp asimd\n"), Ok((vec![], None)));
        assert_eq!(names("processor\t: 0\nisa\t\t: rv64imafdc_zkr_zicsr\n"), Ok((vec!["Zkr"], None)));
        assert_eq!(names("processor: 0\nisa: rv64imafdc_zkrx\n"), Ok((vec![], None)));
    }

    #[test]
    fn a_word_that_only_resembles_is_not_taken() {
        let cpu = Cpu::parse("processor: 0\nmodel name: rdrand hypervisor\nflags: rdrandx myrdseed\n");
        assert_eq!(cpu.map(|cpu| (cpu.random.any(), cpu.hypervisor)), Ok((false, Some(false))));
    }

    #[test]
    fn no_cpu_is_no_fact() {
        assert!(Cpu::parse("").is_err());
        assert!(Cpu::parse("nothing here").is_err());
    }
}

//! How much user-data a provider takes.
//!
//! The figures are those of the providers' own documents, as of 2025; what a provider measures (the text itself, or its
//! base64) is part of the figure.

use std::fmt;
use std::str::FromStr;

/// A provider, by what takes the user-data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// In lower case.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// The most that it takes.
    pub most_bytes: usize,
    /// Whether what it measures is base64.
    pub is_base64: bool,
    /// Whether it takes bytes that are no text, such as [`gzip`](super::gzip())'s.
    pub takes_bytes: bool,
}

const fn text(name: &'static str, title: &'static str, most_bytes: usize) -> Provider {
    Provider { name, title, most_bytes, is_base64: false, takes_bytes: false }
}

const fn bytes(name: &'static str, title: &'static str, most_bytes: usize) -> Provider {
    Provider { name, title, most_bytes, is_base64: false, takes_bytes: true }
}

/// All that are known.
pub const PROVIDERS: &[Provider] = &[
    // EC2 User Guide: "16 KB, in raw form, before it is base64-encoded".
    bytes("ec2", "Amazon EC2", 16 << 10),
    // ARM reference, osProfile.customData: 65535 bytes once decoded.
    bytes("azure", "Microsoft Azure", 65_535),
    // Compute Engine, about VM metadata: 256 KB for a value.
    text("gce", "Google Compute Engine", 256 << 10),
    // Nova, server create, user_data: 65535 bytes as base64.
    Provider { is_base64: true, ..bytes("openstack", "OpenStack", 65_535) },
    // API reference, droplets, user_data: 64 KiB.
    text("digitalocean", "DigitalOcean", 64 << 10),
    // API reference, servers, user_data: 32 KiB.
    text("hetzner", "Hetzner Cloud", 32 << 10),
    // VPC, user data: 64 KB.
    text("ibm", "IBM Cloud VPC", 64 << 10),
    // vSphere Automation API, Guest.CloudinitConfiguration.userdata: 524288 bytes.
    text("vsphere", "VMware vSphere", 512 << 10),
];

/// A document that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{is} bytes{unit}, and {title} takes {most}",
    unit = if provider.is_base64 { " as base64" } else { "" },
    title = provider.title,
    most = provider.most_bytes
)]
pub struct TooLong {
    /// Its length, as the provider measures it.
    pub is: usize,
    /// Whose limit it is.
    pub provider: Provider,
}

impl Provider {
    /// Whether a document of so many bytes is short enough.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn check(self, bytes: usize) -> Result<(), TooLong> {
        let is = if self.is_base64 { bytes.div_ceil(3).saturating_mul(4) } else { bytes };
        if is <= self.most_bytes { Ok(()) } else { Err(TooLong { is, provider: self }) }
    }
}

/// Nobody of that name is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such provider; known are {}", names().join(", "))]
pub struct UnknownProvider;

fn names() -> Vec<&'static str> {
    PROVIDERS.iter().map(|provider| provider.name).collect()
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        PROVIDERS.iter().find(|provider| provider.name == text).copied().ok_or(UnknownProvider)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_on_what_the_provider_measures() {
        let [ec2, openstack]: [Provider; 2] = ["ec2", "openstack"].map(|name| name.parse().unwrap());
        assert!(ec2.check(16_384).is_ok() && ec2.check(16_385).is_err());
        // 65535 is no multiple of 4, and base64's length is one: 49149 bytes are 65532.
        assert!(openstack.check(49_149).is_ok());
        let error = openstack.check(49_150).unwrap_err();
        assert_eq!(error.to_string(), "65536 bytes as base64, and OpenStack takes 65535");
        assert!("Ec2".parse::<Provider>().is_err());
    }
}

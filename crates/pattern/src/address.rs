//! `cidr`: text that is an IP address of a network, whatever its spelling.

use std::net::IpAddr;

use crate::fault::Problem;

/// The longest spelling of an address.
const ADDRESS_BYTES_MAX: usize = 45;

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    first: IpAddr,
    bits: u32,
}

/// The address that `text` is, if it is one.
pub(crate) fn address(text: &[u8]) -> Option<IpAddr> {
    if text.len() > ADDRESS_BYTES_MAX {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl Network {
    /// Reads `10.0.0.0/8` or `2001:db8::/32`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let (written, bits) = text.split_once('/').ok_or(Problem::CidrSlash)?;
        if bits.contains('/') {
            return Err(Problem::CidrSlash);
        }
        let bits: i64 = bits.parse().map_err(|_| Problem::CidrMask)?;
        let first = address(written.as_bytes());
        let first = first.ok_or_else(|| Problem::CidrAddress(written.to_owned()))?;
        let (family, bits_max) = match first {
            IpAddr::V4(_) => ("IPv4", 32),
            IpAddr::V6(_) => ("IPv6", 128),
        };
        match u32::try_from(bits) {
            Ok(bits) if bits <= bits_max => Ok(Self { first, bits }),
            _ => Err(Problem::CidrMaskRange { family, bits_max }),
        }
    }

    /// Whether `text` is an address of this network.
    pub(crate) fn takes(&self, text: &[u8]) -> bool {
        match (self.first, address(text)) {
            (IpAddr::V4(first), Some(IpAddr::V4(other))) => {
                (first.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(first), Some(IpAddr::V6(other))) => {
                (first.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bits_decide() {
        for (network, text, expected) in [
            ("10.0.0.0/24", "10.0.0.255", true),
            ("10.0.0.77/24", "10.0.0.1", true),
            ("10.0.0.0/24", "10.0.1.0", false),
            ("10.0.0.0/24", "10.0.0.256", false),
            ("10.0.0.0/24", "10.0.0.1 ", false),
            ("10.0.0.0/24", "::ffff:10.0.0.1", false),
            ("10.0.0.0/24", "", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("10.0.0.1/32", "10.0.0.0", false),
            ("2001:db8:1234:1a00::/64", "2001:0db8:1234:1a00:0000:0000:0000:0000", true),
            ("2001:db8:1234:1a00::/64", "2001:DB8:1234:1A00::ffff", true),
            ("2001:db8:1234:1a00::/64", "2001:0db8:123f:1a01::", false),
            ("::/0", "::1", true),
        ] {
            assert_eq!(
                Network::read(network).unwrap().takes(text.as_bytes()),
                expected,
                "{network} {text}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for (text, words) in [
            ("bad-filter", "Malformed CIDR, one '/' required"),
            ("10.0.0.0/8/8", "Malformed CIDR, one '/' required"),
            ("bad-/64filter", "Malformed CIDR, mask bits must be an integer"),
            ("10.0.0.0/", "Malformed CIDR, mask bits must be an integer"),
            ("xx.11.xx/8", "Nonstandard IP address: xx.11.xx"),
            ("10.0.0/8", "Nonstandard IP address: 10.0.0"),
            ("10.0.0.0/33", "IPv4 mask bits must be 0 to 32"),
            ("10.0.0.0/-1", "IPv4 mask bits must be 0 to 32"),
            ("::/129", "IPv6 mask bits must be 0 to 128"),
        ] {
            assert_eq!(Network::read(text).unwrap_err().to_string(), words, "{text}");
        }
    }
}

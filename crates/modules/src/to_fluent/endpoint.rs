//! Where receivers listen: addresses as the configuration has them, and how servers share the load.

use std::fmt;

use serde::Deserialize;
use url::Url;

use super::invalid::InvalidSettings;
use super::settings::Settings;

/// The port of the Forward protocol, with TLS and without.
const PORT: u16 = 24224;
/// Servers of a module at most: a batch may have to try each of them.
const SERVERS_MAX: usize = 32;
/// The weight that Fluentd's `out_forward` gives a server.
const WEIGHT_DEFAULT: u32 = 60;
const WEIGHT_MAX: u32 = 10_000;

/// One of several receivers, by the names of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// `fluent://host:24224`, `fluents://host:24224` for TLS, or a host alone.
    pub address: String,
    /// Its part of the batches, compared with the weights of the others. Default 60, as Fluentd.
    #[serde(default = "weight_default")]
    pub weight: u32,
    /// Whether it gets something only while none of the others can be used.
    #[serde(default)]
    pub standby: bool,
}

fn weight_default() -> u32 {
    WEIGHT_DEFAULT
}

/// Where a receiver listens. Its name is looked up at each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, tls } = self;
        let scheme = if *tls { "fluents" } else { "fluent" };
        if host.contains(':') {
            return write!(f, "{scheme}://[{host}]:{port}");
        }
        write!(f, "{scheme}://{host}:{port}")
    }
}

impl Endpoint {
    /// Reads `fluent://host:port`, `fluents://host:port`, or a host with or without a port.
    fn parse(key: &'static str, given: &str) -> Result<Self, InvalidSettings> {
        let given = given.trim();
        let invalid = |why: &str| InvalidSettings::Address {
            key,
            given: given.to_owned(),
            why: why.to_owned(),
        };
        if given.is_empty() {
            return Err(invalid("it is missing"));
        }
        let text =
            if given.contains("://") { given.to_owned() } else { format!("fluent://{given}") };
        let url = Url::parse(&text).map_err(|error| invalid(&error.to_string()))?;
        let tls = match url.scheme() {
            "fluent" => false,
            "fluents" => true,
            _ => {
                return Err(invalid("it does not start with fluent://, or fluents:// for TLS"));
            }
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(invalid("it has more than a host and a port"));
        }
        Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(PORT), tls })
    }
}

/// A receiver and its part of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerPlace {
    pub(super) endpoint: Endpoint,
    pub(super) weight: u32,
    pub(super) standby: bool,
}

impl Settings {
    /// The receivers, at least one.
    pub(super) fn places(&self) -> Result<Vec<ServerPlace>, InvalidSettings> {
        if self.servers.is_empty() {
            let endpoint = Endpoint::parse("destination", &self.destination)?;
            return Ok(vec![ServerPlace { endpoint, weight: WEIGHT_DEFAULT, standby: false }]);
        }
        if !self.destination.is_empty() {
            return Err(InvalidSettings::Servers(
                "and destination cannot both be given; put the address of destination among servers",
            ));
        }
        if self.servers.len() > SERVERS_MAX {
            return Err(InvalidSettings::Servers("has more than 32 entries"));
        }
        if self.servers.iter().all(|server| server.standby) {
            return Err(InvalidSettings::Servers("are all on standby; one has to be without"));
        }
        let place = |server: &ServerSettings| {
            if !(1..=WEIGHT_MAX).contains(&server.weight) {
                return Err(InvalidSettings::OutOfRange {
                    key: "servers",
                    range: "given with a weight of 1 to 10000",
                });
            }
            let endpoint = Endpoint::parse("servers", &server.address)?;
            Ok(ServerPlace { endpoint, weight: server.weight, standby: server.standby })
        };
        let places: Vec<_> = self.servers.iter().map(place).collect::<Result<_, _>>()?;
        let twice = |n: usize| places[..n].iter().any(|other| other.endpoint == places[n].endpoint);
        if (0..places.len()).any(twice) {
            return Err(InvalidSettings::Servers("name the same address twice"));
        }
        Ok(places)
    }

    /// The receivers as a user would say them.
    pub fn shown_destination(&self) -> String {
        self.places().map_or_else(
            |error| error.to_string(),
            |places| {
                let shown: Vec<_> = places.iter().map(|place| place.endpoint.to_string()).collect();
                shown.join(", ")
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::doubles::settings;
    use super::*;

    fn at(destination: &str) -> Settings {
        Settings { destination: destination.to_owned(), ..settings() }
    }

    fn among(servers: &[(&str, u32, bool)]) -> Settings {
        let server = |&(address, weight, standby): &(&str, u32, bool)| ServerSettings {
            address: address.to_owned(),
            weight,
            standby,
        };
        Settings { servers: servers.iter().map(server).collect(), ..at("") }
    }

    #[test]
    fn an_endpoint_is_a_url_or_a_host_with_or_without_port() {
        for (given, shown) in [
            ("fluent://host", "fluent://host:24224"),
            ("fluents://host", "fluents://host:24224"),
            ("fluent://host:1/", "fluent://host:1"),
            ("internal-nlb.example.com", "fluent://internal-nlb.example.com:24224"),
            ("10.0.0.1:5170", "fluent://10.0.0.1:5170"),
            ("fluents://[::1]:9", "fluents://[::1]:9"),
        ] {
            assert_eq!(at(given).shown_destination(), shown);
        }
    }

    #[test]
    fn what_is_no_receiver_is_refused() {
        for given in
            ["", "http://host", "fluent://", "fluent://host/path", "fluent://u:p@host", "a b"]
        {
            assert_eq!(at(given).places().unwrap_err().key(), "destination", "{given}");
            let error = among(&[(given, 1, false)]).places().unwrap_err();
            assert_eq!(error.key(), "servers", "{given}");
        }
    }

    #[test]
    fn servers_have_weights_and_one_of_them_is_in_use() {
        let places = among(&[("a", 60, false), ("fluents://b:1", 1, true)]).places().unwrap();
        assert_eq!(places[1].endpoint.to_string(), "fluents://b:1");
        assert_eq!((places[0].weight, places[1].standby), (60, true));
        for wrong in [
            among(&[("a", 0, false)]),
            among(&[("a", 10_001, false)]),
            among(&[("a", 1, true)]),
            among(&[("a", 1, false), ("fluent://a:24224", 1, true)]),
            among(&[("a", 1, false); 33]),
            Settings { destination: "b".to_owned(), ..among(&[("a", 1, false)]) },
        ] {
            assert_eq!(wrong.places().unwrap_err().key(), "servers", "{wrong:?}");
        }
    }
}

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::agency::Agency;
use super::budget::Budget;
use super::cloud_clock::{CloudClock, CloudClocks};
use super::credentials::{Credentials, Environment, Local};
use super::keys::Keys;
use super::outside::{self, Network, Outside};
use super::project::Projects;
use super::{Api, Finished, Observe};
use crate::config::{Cloud, CredentialsFrom, is_near};
use crate::file_access::TooOpen;
use crate::model::{Alarm, CloudName};

/// One account: keys, project ids, request budget and connections, shared by all who use it. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    shared: Arc<Shared>,
}

struct Shared {
    name: CloudName,
    settings: Cloud,
    observe: Observe,
    network: Network,
    clock: Arc<CloudClock>,
    keys: Keys,
    budget: Budget,
    projects: Projects,
}

/// Why an account cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// An endpoint of the configuration is no URL that can be asked.
    #[error("[cloud.{cloud}] endpoints.{api} = {url:?} is not a URL: {problem}", api = api.as_str())]
    Endpoint {
        /// The account.
        cloud: CloudName,
        /// The endpoint's service.
        api: Api,
        /// As configured, `{region}` filled in.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client cannot be built.
    #[error("[cloud.{cloud}] cannot set up its HTTP client")]
    Http {
        /// The account.
        cloud: CloudName,
        /// Why.
        source: reqwest::Error,
    },
}

/// Whether the SDK's file of keys is closed to others, where an account's keys are to come from it and it is there.
///
/// # Errors
/// When it is not.
pub fn judge_credentials_file(from: &CredentialsFrom) -> Result<(), TooOpen> {
    Local::new(outside::environment()).judge_file(from)
}

impl Account {
    /// The account of a `[cloud.NAME]` section. No I/O here: keys are read when first needed and looked for
    /// again while they are missing; `observe` is told of every HTTP exchange.
    ///
    /// # Errors
    /// When an endpoint is no URL or the HTTP client cannot be built.
    pub fn new(name: CloudName, settings: &Cloud, observe: Observe) -> Result<Self, AccountError> {
        let network = Network::sockets();
        let network = network.map_err(|source| AccountError::Http { cloud: name.clone(), source })?;
        Self::with(name, settings, observe, network, outside::environment())
    }

    /// The same account in a world that is made up, in place of this machine's environment and network.
    ///
    /// # Errors
    /// When an endpoint is no URL.
    pub fn within(
        name: CloudName,
        settings: &Cloud,
        observe: Observe,
        world: Outside,
    ) -> Result<Self, AccountError> {
        let Outside { variables, script } = world;
        let environment = Box::new(move |name: &str| variables(name));
        Self::with(name, settings, observe, Network::Script(script), environment)
    }

    fn with(
        name: CloudName,
        settings: &Cloud,
        observe: Observe,
        network: Network,
        environment: Environment,
    ) -> Result<Self, AccountError> {
        let local = Local::new(environment);
        let clock = Arc::new(CloudClock::new(name.clone()));
        let agency = Agency::new(network.clone(), settings.endpoints.metadata.as_deref(), clock.clone());
        let account = Self {
            shared: Arc::new(Shared {
                name,
                settings: settings.clone(),
                observe,
                network,
                clock,
                keys: Keys::new(settings.credentials.clone(), local, agency),
                budget: Budget::new(),
                projects: Projects::default(),
            }),
        };
        for api in [Api::Iam, Api::Elb, Api::Eip, Api::Dns] {
            account.base(api, &settings.region, None)?;
        }
        Ok(account)
    }

    /// When the account's keys end, as wall time since 1970; none while no keys were needed, and of keys that
    /// do not end or do not say when.
    #[must_use]
    pub fn keys_expire(&self) -> Option<Duration> {
        self.shared.keys.expire()
    }

    /// What somebody should know of the account now, each with what to do about it.
    #[must_use]
    pub fn alarms(&self) -> Vec<(Alarm, String)> {
        let credentials = self.shared.keys.alarm().map(|message| (Alarm::Credentials, message));
        let clock = self.shared.clock.alarm().map(|message| (Alarm::ClockSkew, message));
        credentials.into_iter().chain(clock).collect()
    }

    /// Lets `clocks` know what time it is in the account's cloud.
    pub fn tell_the_time_to(&self, clocks: &CloudClocks) {
        clocks.add(&self.shared.clock);
    }

    /// Whether requests for probes wait because the account's budget is short.
    #[must_use]
    pub fn is_short_of_requests(&self) -> bool {
        self.shared.budget.is_short()
    }

    /// Where `api` is asked for things of a region.
    pub(super) fn endpoint(&self, api: Api, region: &str, keys: &Credentials) -> Result<Url, AccountError> {
        self.base(api, region, keys.iam_endpoint.as_deref())
    }

    /// Whether `api` is asked on this very machine: what answers is a simulated cloud. By what is configured, not by how a
    /// name resolves, which others may have a say in; names under `localhost` are nobody else's (RFC 6761, section 6.3).
    pub(super) fn is_on_this_machine(&self, api: Api, region: &str) -> bool {
        self.base(api, region, None).is_ok_and(|base| {
            let host = host_of(&base);
            host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback())
        })
    }

    fn base(&self, api: Api, region: &str, iam_of_keys: Option<&str>) -> Result<Url, AccountError> {
        let endpoints = &self.shared.settings.endpoints;
        let (configured, host) = match api {
            Api::Iam => (endpoints.iam.as_deref().or(iam_of_keys), "iam"),
            Api::Elb => (endpoints.elb.as_deref(), "elb"),
            Api::Eip => (endpoints.eip.as_deref(), "vpc"),
            Api::Dns => (endpoints.dns.as_deref(), "dns"),
        };
        let url = match configured {
            Some(url) => url.replace("{region}", region),
            None => format!("https://{host}.{region}.myhuaweicloud.com"),
        };
        let problem = match Url::parse(&url) {
            Ok(parsed) if !matches!(parsed.scheme(), "http" | "https") => {
                "it is neither http nor https".to_owned()
            }
            Ok(parsed) if parsed.scheme() == "http" && !is_near(host_of(&parsed)) => {
                "http would send signed requests over a network unencrypted; write https".to_owned()
            }
            Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
                "it has a user name in it".to_owned()
            }
            Ok(parsed) if parsed.query().is_some() || parsed.fragment().is_some() => {
                "it has more than a host and a path".to_owned()
            }
            Ok(parsed) => return Ok(parsed),
            Err(error) => error.to_string(),
        };
        Err(AccountError::Endpoint { cloud: self.shared.name.clone(), api, url, problem })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &CloudName {
        &self.shared.name
    }

    pub(super) fn settings(&self) -> &Cloud {
        &self.shared.settings
    }

    pub(super) fn network(&self) -> &Network {
        &self.shared.network
    }

    pub(super) fn clock(&self) -> &CloudClock {
        &self.shared.clock
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    pub(super) fn projects(&self) -> &Projects {
        &self.shared.projects
    }

    /// The account's own id, as configured or as it came with the keys.
    pub(super) fn domain_id<'a>(&'a self, keys: &'a Credentials) -> Option<&'a str> {
        self.settings().domain_id.as_deref().or(keys.domain_id.as_deref())
    }

    pub(super) fn observed(&self, finished: &Finished) {
        (self.shared.observe)(finished);
    }
}

fn host_of(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

impl fmt::Debug for Account {
    /// Its name; what else it holds is nobody's business (SECRETS-STAY).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.shared.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoints;

    fn account(endpoints: Endpoints) -> Account {
        let settings = Cloud {
            credentials: CredentialsFrom::Environment,
            region: "cn-north-4".to_owned(),
            project_id: None,
            domain_id: None,
            endpoints,
        };
        let name = CloudName::parse("main").unwrap();
        Account::new(name, &settings, Arc::new(|_: &Finished| {})).unwrap()
    }

    #[test]
    fn a_cloud_on_this_machine_is_told_by_what_is_configured() {
        let is_here = |url: &str| {
            let elb = Some(url.to_owned());
            account(Endpoints { elb, ..Endpoints::default() }).is_on_this_machine(Api::Elb, "cn-north-4")
        };
        for here in ["http://127.0.0.1:1", "https://[::1]:1", "https://api.cloud.localhost:1"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["https://elb.example.com", "http://169.254.1.1", "https://notlocalhost.example.com"]
        {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn an_endpoint_that_came_with_the_keys_is_held_to_the_same_rule_as_a_configured_one() {
        let account = account(Endpoints::default());
        let asked = |url| account.base(Api::Iam, "cn-north-4", Some(url)).map_err(|error| error.to_string());
        for good in ["https://iam.example.com", "http://127.0.0.1:1", "http://[::1]:1", "http://169.254.1.1"]
        {
            assert!(asked(good).is_ok(), "{good}");
        }
        for open in ["http://iam.example.com", "http://10.0.0.1", "http://localhost", "http://[2001:db8::1]"]
        {
            let error = asked(open).unwrap_err();
            assert!(error.contains("would send signed requests over a network unencrypted"), "{error}");
        }
        assert!(asked("https://user@iam.example.com").is_err() && asked("ftp://127.0.0.1").is_err());
    }
}

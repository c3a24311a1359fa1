use std::path::PathBuf;

/// A `[cloud.NAME]` section: one account of Huawei Cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Where keys come from.
    pub credentials: CredentialsFrom,
    /// The account's home region, asked where no other is named: `cn-north-4`.
    pub region: String,
    /// The project to work in, in place of looking it up by region. Only right when one region is used.
    pub project_id: Option<String>,
    /// The account's id, sent to global services when known.
    pub domain_id: Option<String>,
    /// Where to find the services instead of the vendor's own names.
    pub endpoints: Endpoints,
}

/// Where an account's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsFrom {
    /// Environment, then the SDK's file, then the ECS's agency. The default.
    Auto,
    /// `HUAWEICLOUD_SDK_AK` and its friends.
    Environment,
    /// `~/.huaweicloud/credentials`, or the file that `HUAWEICLOUD_SDK_CREDENTIALS_FILE` names.
    File,
    /// The agency of the ECS that this runs on, through its metadata service.
    Agency,
    /// Named in the configuration itself; the files are read when the keys are first needed.
    Keys {
        /// The access key's id; not a secret.
        access_key: String,
        /// The file that holds its secret key.
        secret_key_file: PathBuf,
        /// The file that holds the security token of a temporary key.
        security_token_file: Option<PathBuf>,
    },
}

/// Base URLs in place of `https://{service}.{region}.myhuaweicloud.com`; `{region}` in one is replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// IAM, for project ids.
    pub iam: Option<String>,
    /// ELB v3.
    pub elb: Option<String>,
    /// EIP, which the vendor's names call `vpc`.
    pub eip: Option<String>,
    /// DNS.
    pub dns: Option<String>,
    /// The ECS metadata service.
    pub metadata: Option<String>,
}

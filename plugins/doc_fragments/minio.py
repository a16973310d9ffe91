# Copyright the homelab.data_platform contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options that the MinIO modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Options, requirements and notes of every module that speaks to MinIO."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - Address of the S3 and admin API, in the form V(https://host:port). V(host:port) alone means C(https).
      - Falls back to the environment variable E(MINIO_URL).
    type: str
    required: true
  access_key:
    description:
      - Name of the account that the task signs in with, root or one with the policy C(consoleAdmin).
      - Falls back to E(MINIO_ACCESS_KEY), then E(MINIO_ROOT_USER).
    type: str
    required: true
  secret_key:
    description:
      - Secret key of that account.
      - Falls back to E(MINIO_SECRET_KEY), then E(MINIO_ROOT_PASSWORD).
    type: str
    required: true
  ca_path:
    description:
      - PEM file, on the host that runs the module, with the certificate authority that signed the server's certificate.
      - Without it, the system's certificate authorities count.
      - Falls back to E(MINIO_CA_PATH).
    type: path
  validate_certs:
    description:
      - Whether the server's certificate is verified. Rather set O(ca_path) than switch this off.
      - Falls back to E(MINIO_VALIDATE_CERTS).
    type: bool
    default: true
  region:
    description:
      - The region that the server was set up for, in which buckets are created. Servers without one accept any.
      - Falls back to E(MINIO_REGION).
    type: str
    default: us-east-1
  connect_timeout:
    description: Seconds to wait for a connection.
    type: int
    default: 5
  timeout:
    description:
      - Seconds to wait for an answer.
      - Falls back to E(MINIO_TIMEOUT).
    type: int
    default: 30
notes:
  - A proxy that the environment of the module names (E(HTTPS_PROXY), E(HTTP_PROXY)) is used, unless E(NO_PROXY) excepts the host.
  - Nothing that is set for Amazon on the host (profiles, endpoints, E(AWS_CA_BUNDLE)) counts here.
  - A failed connection is tried three times, an answer of 502, 503 or 504 six times within seven seconds. A server that does not
    answer within O(timeout) is not asked again.
"""

    # MinIO's own API, for users and policies.
    ADMIN = r"""
options: {}
requirements:
  - minio >= 7.2.16 (the Python package, on the host that runs the module)
notes:
  - Speaks MinIO's own admin API, which its forks and RustFS offer too.
"""

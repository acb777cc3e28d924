#include "tests/support/tls_authority.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace cvtrain::testing {
namespace {

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* value) const {
    kFree(value);
  }
};
using Key = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;

Key NewKey() {
  Key key(EVP_EC_gen("P-256"));
  CVT_CHECK(key != nullptr);
  return key;
}

void Extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  CVT_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1) << value;
  X509_EXTENSION_free(extension);
}

// A certificate of `key` without extensions or signature.
Certificate NewCertificate(EVP_PKEY* key, const std::string& name, int64_t serial,
                           absl::Duration valid_for) {
  Certificate certificate(X509_new());
  CVT_CHECK(certificate != nullptr && X509_set_version(certificate.get(), X509_VERSION_3) == 1);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()),
                  static_cast<long>(absl::ToInt64Seconds(valid_for)));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  CVT_CHECK(X509_set_pubkey(certificate.get(), key) == 1);
  return certificate;
}

template <typename Write>
void WritePem(const std::string& path, Write write) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  CVT_CHECK(file != nullptr && write(file) == 1 && std::fclose(file) == 0) << path;
}

}  // namespace

class TlsAuthority::Impl {
 public:
  explicit Impl(const std::string& directory)
      : directory_(directory),
        key_(NewKey()),
        certificate_(NewCertificate(key_.get(), "test authority", 1, absl::Hours(24))) {
    X509* ca = certificate_.get();
    X509_set_issuer_name(ca, X509_get_subject_name(ca));
    Extend(ca, ca, NID_basic_constraints, "critical,CA:TRUE");
    Extend(ca, ca, NID_key_usage, "critical,keyCertSign");
    CVT_CHECK(X509_sign(ca, key_.get(), EVP_sha256()) > 0);
    WriteCertificate("ca.pem", ca);
  }

  TlsFiles Issue(const Subject& subject) {
    const int64_t serial = ++serial_;
    const Key key = NewKey();
    const Certificate certificate =
        NewCertificate(key.get(), "cvtrain test", serial, subject.valid_for);
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate_.get()));
    std::string names = "IP:127.0.0.1,DNS:localhost";
    if (!subject.uri.empty()) absl::StrAppend(&names, ",URI:", subject.uri);
    Extend(certificate.get(), certificate_.get(), NID_subject_alt_name, names);
    CVT_CHECK(X509_sign(certificate.get(), key_.get(), EVP_sha256()) > 0);

    const std::string label = absl::StrCat(serial);
    WriteCertificate(label + ".pem", certificate.get());
    WritePem(Path(label + ".key"), [&](std::FILE* file) {
      return PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    return {.ca = Path("ca.pem"), .cert = Path(label + ".pem"), .key = Path(label + ".key")};
  }

 private:
  std::string Path(const std::string& name) const { return absl::StrCat(directory_, "/", name); }
  void WriteCertificate(const std::string& name, X509* certificate) const {
    WritePem(Path(name), [&](std::FILE* file) { return PEM_write_X509(file, certificate); });
  }

  const std::string directory_;
  const Key key_;
  const Certificate certificate_;
  int64_t serial_ = 1;
};

TlsAuthority::TlsAuthority(const std::string& directory)
    : impl_(std::make_unique<Impl>(directory)) {}
TlsAuthority::~TlsAuthority() = default;

TlsFiles TlsAuthority::Issue(const Subject& subject) { return impl_->Issue(subject); }

}  // namespace cvtrain::testing

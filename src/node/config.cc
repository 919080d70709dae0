// SPDX-License-Identifier: Apache-2.0
#include "node/config.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/yaml.h"
#include "net/proxy.h"
#include "node_files.h"
#include "protocol/network.h"

namespace bcai::node {
namespace {

constexpr std::string_view kPrefix = "BCAI_NODE_";
constexpr int64_t kBytesMax = 1'000'000'000'000'000;

enum class Kind { kText, kScalar, kList, kMap };

// One row for each field: every layer, the printout and the documentation test go by it.
struct Field {
  std::string_view name;
  Kind kind;  // how its text in the environment or in a flag is read
  void (*read)(Decoder& in, NodeConfig& config);
  json::value (*value)(const NodeConfig& config);
};

void read_path(Decoder& in, std::string_view key, std::filesystem::path& path) {
  std::string text;
  in.read(key, text, {.bytes_min = 1, .bytes_max = 1024});
  if (text.empty()) return;
  if (text[0] != '/') in.add(key, "expected an absolute path, found " + text);
  path = text;
}

json::array to_array(const std::vector<std::string>& list) {
  json::array array;
  for (const std::string& text : list) array.push_back(to_json(text));
  return array;
}

template <typename Map>
json::object to_object(const Map& map) {
  json::object object;
  for (const auto& [key, text] : map) object[key] = text;
  return object;
}

constexpr std::array kFields{
    Field{"name", Kind::kText,
          [](Decoder& in, NodeConfig& c) {
            in.read("name", c.name, {1, 128});
          },
          [](const NodeConfig& c) -> json::value { return to_json(c.name); }},
    Field{"coordinator", Kind::kText,
          [](Decoder& in, NodeConfig& c) {
            in.read("coordinator", c.coordinator, {1, 512});
          },
          [](const NodeConfig& c) -> json::value { return to_json(c.coordinator); }},
    Field{"key", Kind::kText,
          [](Decoder& in, NodeConfig& c) {
            in.read("key", c.key, {1, 256});
          },
          [](const NodeConfig& c) -> json::value { return c.key.empty() ? "" : "********"; }},
    Field{"ca_file", Kind::kText,
          [](Decoder& in, NodeConfig& c) {
            in.read("ca_file", c.ca_file, {1, 1024});
          },
          [](const NodeConfig& c) -> json::value { return to_json(c.ca_file); }},
    Field{"data_directory", Kind::kText,
          [](Decoder& in, NodeConfig& c) { read_path(in, "data_directory", c.data_directory); },
          [](const NodeConfig& c) -> json::value { return c.data_directory.string().c_str(); }},
    Field{"python", Kind::kText,
          [](Decoder& in, NodeConfig& c) {
            std::filesystem::path path = c.python;
            read_path(in, "python", path);
            c.python = path;
          },
          [](const NodeConfig& c) -> json::value { return to_json(c.python); }},
    Field{"uv", Kind::kText,
          [](Decoder& in, NodeConfig& c) {
            in.read("uv", c.uv, {1, 1024});
          },
          [](const NodeConfig& c) -> json::value { return to_json(c.uv); }},
    Field{"index_url", Kind::kText,
          [](Decoder& in, NodeConfig& c) {
            in.read("index_url", c.index_url, {1, 1024});
          },
          [](const NodeConfig& c) -> json::value { return to_json(c.index_url); }},
    Field{"index_hosts", Kind::kList,
          [](Decoder& in, NodeConfig& c) {
            in.read("index_hosts", c.index_hosts, 64, {1, 260});
          },
          [](const NodeConfig& c) -> json::value { return to_array(c.index_hosts); }},
    Field{"wheel_directories", Kind::kList,
          [](Decoder& in, NodeConfig& c) {
            in.read("wheel_directories", c.wheel_directories, 64, {1, 1024});
          },
          [](const NodeConfig& c) -> json::value { return to_array(c.wheel_directories); }},
    Field{"environment_bytes", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) {
            in.read_bytes("environment_bytes", c.environment_bytes, {100'000'000, kBytesMax});
          },
          [](const NodeConfig& c) -> json::value { return c.environment_bytes; }},
    Field{"network", Kind::kList,
          [](Decoder& in, NodeConfig& c) {
            in.read("network", c.network, 256, {1, 260});
          },
          [](const NodeConfig& c) -> json::value { return to_array(c.network); }},
    Field{"network_bytes", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) {
            in.read_bytes("network_bytes", c.network_bytes, {0, kBytesMax});
          },
          [](const NodeConfig& c) -> json::value { return c.network_bytes; }},
    Field{"slots", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) {
            in.read("slots", c.slots, IntRange{0, 1024});
          },
          [](const NodeConfig& c) -> json::value { return c.slots; }},
    Field{"cpu_cores", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) {
            in.read("cpu_cores", c.cpu_cores, FloatRange{0, 4096});
          },
          [](const NodeConfig& c) -> json::value { return c.cpu_cores; }},
    Field{"memory", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) {
            in.read_bytes("memory", c.memory_bytes, {0, kBytesMax});
          },
          [](const NodeConfig& c) -> json::value { return c.memory_bytes; }},
    Field{"disk", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) {
            in.read_bytes("disk", c.disk_bytes, {0, kBytesMax});
          },
          [](const NodeConfig& c) -> json::value { return c.disk_bytes; }},
    Field{"strangers", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) { in.read("strangers", c.strangers); },
          [](const NodeConfig& c) -> json::value { return c.strangers; }},
    Field{"high_level", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) { in.read("high_level", c.high_level); },
          [](const NodeConfig& c) -> json::value { return c.high_level; }},
    Field{"warm_starts", Kind::kScalar,
          [](Decoder& in, NodeConfig& c) { in.read("warm_starts", c.warm_starts); },
          [](const NodeConfig& c) -> json::value { return c.warm_starts; }},
    Field{"labels", Kind::kMap,
          [](Decoder& in, NodeConfig& c) { in.read("labels", c.labels, 64, {.bytes_max = 128}); },
          [](const NodeConfig& c) -> json::value { return to_object(c.labels); }},
};

const Field* field_named(std::string_view name) {
  const auto* found = std::find_if(kFields.begin(), kFields.end(),
                                   [&](const Field& field) { return field.name == name; });
  return found == kFields.end() ? nullptr : found;
}

std::string variable_of(std::string_view field) {
  std::string name(kPrefix);
  for (char c : field) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

class Loader {
 public:
  // Reads one layer over what is there and notes where its values came from.
  void apply(const json::value& layer, const std::function<std::string(std::string_view)>& origin,
             std::vector<Finding>* findings) {
    Decoder in(layer, "", findings);
    for (const Field& field : kFields) {
      field.read(in, loaded_.config);
      if (in.peek(field.name) != nullptr) {
        loaded_.origins[std::string(field.name)] = origin(field.name);
      }
    }
    in.refuse_unknown();
  }

  void apply_file(const std::filesystem::path& path) {
    const std::string name = path.filename();
    Result<std::string> text = read_file(path, int64_t{1} << 20);
    if (!text) {
      problems_.push_back(text.error().message);
      return;
    }
    std::vector<Finding> findings;
    Result<YamlDocument> document = parse_yaml(*text, &findings);
    if (document) {
      if (document->value.is_null()) document->value = json::object();
      const auto origin = [&](std::string_view field) {
        const auto place = document->places.find('/' + std::string(field));
        return fmt::format("{}:{}", name, place == document->places.end() ? 0 : place->second.line);
      };
      apply(document->value, origin, &findings);
      document->locate(&findings);
    }
    std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
      return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
    for (const Finding& finding : findings) {
      problems_.push_back(name + ":" + findings_text({finding}));
    }
  }

  void apply_text(const Field& field, const std::string& text, const std::string& origin) {
    json::object layer;
    if (field.kind == Kind::kText) {
      layer[to_json(field.name)] = text;
    } else if (field.kind == Kind::kList) {
      layer[to_json(field.name)] = read_list(text);
    } else if (field.kind == Kind::kMap) {
      layer[to_json(field.name)] = read_pairs(text, origin);
    } else {
      Result<YamlDocument> scalar = parse_yaml(text);
      layer[to_json(field.name)] = scalar ? scalar->value : json::value(to_json(text));
    }
    std::vector<Finding> findings;
    apply(
        layer, [&](std::string_view) { return origin; }, &findings);
    for (const Finding& finding : findings) problems_.push_back(origin + ": " + finding.message);
  }

  void apply_environment(const std::map<std::string, std::string>& environment) {
    std::vector<std::string> known;
    for (const Field& field : kFields) known.push_back(variable_of(field.name));
    for (const auto& [name, text] : environment) {
      if (!name.starts_with(kPrefix)) continue;
      const auto found = std::find(known.begin(), known.end(), name);
      if (found != known.end()) {
        apply_text(kFields[static_cast<size_t>(found - known.begin())], text, name);
        continue;
      }
      const std::string near = nearest_word(name, known);
      problems_.push_back(name + ": unknown variable" +
                          (near.empty() ? "" : "; did you mean " + near + "?"));
    }
  }

  void apply_flags(const std::map<std::string, std::string>& flags) {
    for (const auto& [name, text] : flags) {
      const Field* field = field_named(name);
      BCAI_ASSERT(field != nullptr);  // flags are made from config_fields()
      apply_text(*field, text, "--" + name);
    }
  }

  void check() {
    NodeConfig& config = loaded_.config;
    require("coordinator", config.coordinator);
    require("key", config.key);
    const std::string& endpoint = config.coordinator;
    if (!endpoint.empty() && !endpoint.starts_with("https://") &&
        !endpoint.starts_with("http://") && !endpoint.starts_with("unix:/")) {
      refuse("coordinator", "expected https://…, http://… or unix:/…, found '" + endpoint + "'");
    }
    if (config.memory_bytes > 0 && config.memory_bytes < 64'000'000) {
      refuse("memory", "expected 0 or at least 64 MB");
    }
    check_index(config);
    check_network(config);
    if (config.data_directory.empty()) {
      refuse("data_directory", "is required: there is no HOME to put it under");
    }
  }

  LoadedConfig& loaded() { return loaded_; }
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  void refuse(const std::string& field, const std::string& why) {
    const std::string& origin = loaded_.origins[field];
    problems_.push_back(fmt::format("{}: {}: {}", origin, field, why));
  }

  void check_index(const NodeConfig& config) {
    const std::string& url = config.index_url;
    if (url != "none" && !url.starts_with("https://") && !url.starts_with("http://")) {
      refuse("index_url", "expected https://…, http://… or none, found '" + url + "'");
    }
    for (const std::string& host : config.index_hosts) {
      if (auto parsed = net::parse_host_port(host); !parsed) {
        refuse("index_hosts", parsed.error().message);
      }
    }
    for (const std::string& directory : config.wheel_directories) {
      if (!directory.starts_with('/')) {
        refuse("wheel_directories", "expected absolute paths, found '" + directory + "'");
      }
    }
  }

  void check_network(const NodeConfig& config) {
    for (const std::string& pattern : config.network) {
      if (is_host_pattern(pattern)) continue;
      refuse("network",
             "expected host:port, *.domain:port or *:port in lower case, found '" + pattern + "'");
    }
  }

  void require(const std::string& field, const std::string& text) {
    if (!text.empty()) return;
    problems_.push_back(fmt::format("{} is required: in the file, as {}, or as --{}", field,
                                    variable_of(field), field));
  }

  static json::array read_list(std::string_view text) {
    json::array array;
    while (!text.empty()) {
      const std::string_view one = text.substr(0, text.find(','));
      array.push_back(to_json(one));
      text.remove_prefix(std::min(one.size() + 1, text.size()));
    }
    return array;
  }

  json::object read_pairs(std::string_view text, const std::string& origin) {
    json::object object;
    while (!text.empty()) {
      const std::string_view pair = text.substr(0, text.find(','));
      text.remove_prefix(std::min(pair.size() + 1, text.size()));
      const size_t equals = pair.find('=');
      if (equals == 0 || equals == std::string_view::npos) {
        problems_.push_back(
            fmt::format("{}: expected name=value,name=value, found '{}'", origin, pair));
        break;
      }
      object[to_json(pair.substr(0, equals))] = to_json(pair.substr(equals + 1));
    }
    return object;
  }

  LoadedConfig loaded_;
  std::vector<std::string> problems_;
};

std::filesystem::path default_data_directory(
    const std::map<std::string, std::string>& environment) {
  if (geteuid() == 0) return "/var/lib/bcai/node";
  const auto home = environment.find("HOME");
  if (home == environment.end() || !home->second.starts_with('/')) return {};
  return std::filesystem::path(home->second) / ".local/state/bcai/node";
}

}  // namespace

std::vector<std::filesystem::path> directories_of(
    const std::map<std::string, std::string>& environment) {
  std::vector<std::filesystem::path> directories;
  const auto path = environment.find("PATH");
  std::string_view rest;
  if (path != environment.end()) rest = path->second;
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find(':'));
    if (one.starts_with('/')) directories.emplace_back(one);
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
  }
  return directories;
}

Result<LoadedConfig> load_config(const ConfigSources& sources) {
  Loader loader;
  for (const Field& field : kFields) loader.loaded().origins[std::string(field.name)] = "default";
  NodeConfig& config = loader.loaded().config;
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  config.name = std::string_view(host).substr(0, 128);
  config.data_directory = default_data_directory(sources.environment);
  config.search = directories_of(sources.environment);
  if (!sources.file.empty()) loader.apply_file(sources.file);
  loader.apply_environment(sources.environment);
  loader.apply_flags(sources.flags);
  loader.check();
  if (loader.problems().empty()) return std::move(loader.loaded());
  std::string message;
  for (const std::string& problem : loader.problems()) {
    message += (message.empty() ? "" : "\n") + problem;
  }
  return error(ErrorCode::kInvalidArgument, "{}", message);
}

std::string print_config(const LoadedConfig& loaded) {
  std::string out;
  for (const Field& field : kFields) {
    const json::value value = field.value(loaded.config);
    const auto origin = loaded.origins.find(std::string(field.name));
    // JSON is YAML, and quotes whatever a reader could take for something else.
    const std::string line = fmt::format("{}: {}", field.name, to_text(value));
    out += fmt::format("{:<48} # {}\n", line,
                       origin == loaded.origins.end() ? "default" : origin->second);
  }
  return out;
}

std::string_view example_config() { return node_files("production.yaml"); }

std::vector<std::string_view> config_fields() {
  std::vector<std::string_view> names;
  for (const Field& field : kFields) names.push_back(field.name);
  return names;
}

std::map<std::string, std::string> process_environment() {
  std::map<std::string, std::string> found;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = text.substr(0, equals);
    if (name == "HOME" || name == "PATH" || name.starts_with(kPrefix)) {
      found[std::string(name)] = text.substr(equals + 1);
    }
  }
  return found;
}

}  // namespace bcai::node

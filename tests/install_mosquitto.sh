#!/bin/sh
# A real MQTT broker for the tests: mosquitto from Debian where this machine lets us install it. Where it does not,
# the tests start amqtt from the test environment instead, so this script never fails the build.
set -u
command -v mosquitto >/dev/null 2>&1 && exit 0
test -x /usr/sbin/mosquitto && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    (apt-get update -qq && apt-get install -y -qq --no-install-recommends mosquitto) >/dev/null 2>&1 \
        && echo "installed mosquitto for the MQTT tests" && exit 0
fi
echo "mosquitto is not installed and cannot be: the MQTT tests use amqtt from the test environment"

<?php
// Answers each line of its input by what EasyWeChat's cache has under the key of its setKey: the
// line says how often it is asked.
require '/usr/share/php/Psr/SimpleCache/autoload.php';
require '/usr/share/php/Symfony/Component/Cache/autoload.php';

[, $port, , $appid] = $argv;
$redis = new Redis();
$redis->connect('127.0.0.1', (int) $port);
$cache = new Symfony\Component\Cache\Psr16Cache(
    new Symfony\Component\Cache\Adapter\RedisAdapter($redis, 'easywechat', 1500));
while (($line = fgets(STDIN)) !== false) {
    $found = [];
    for ($i = 0; $i < (int) $line; $i++) {
        $token = $cache->get("wch.$appid");
        $ticket = $cache->get("official_account.jsapi_ticket.$appid");
        $found["$token $ticket"] = true;
    }
    echo implode(' ', array_keys($found)), "\n";
}

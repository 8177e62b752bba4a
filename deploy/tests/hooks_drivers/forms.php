<?php
// Finds the token where old code keeps it, the way such code does: prints it, and whether the code
// would now fetch one for itself.
//
// Usage: forms.php json|php|memcached|database PLACE

[, $form, $place] = $argv;
$token = null;
$fetches = true;
switch ($form) {
    case 'json':
        $known = json_decode(file_get_contents($place), true);
        $token = $known['access_token'];
        $fetches = time() > $known['expires_time'];
        break;
    case 'php':
        // WeChat's sample: what stands behind the script that ends at once.
        $known = json_decode(trim(substr(file_get_contents($place), 15)));
        $token = $known->access_token;
        $fetches = $known->expire_time < time();
        break;
    case 'memcached':
        $cache = new Memcache();
        $cache->connect('127.0.0.1', 11211);
        $token = $cache->get($place);
        $fetches = empty($token);
        break;
    case 'database':
        $database = new mysqli('127.0.0.1', 'wch', 'of-the-database', 'wechat');
        $row = $database
            ->query("SELECT value, expire FROM wx_token WHERE type = '$place'")->fetch_assoc();
        $token = $row['value'];
        $fetches = time() > $row['expire'];
        break;
}
echo $token, ' ', $fetches ? 'fetches' : 'keeps', "\n";
